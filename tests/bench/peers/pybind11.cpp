#include <pybind11/pybind11.h>

#include "peers.hpp"

namespace bench {
namespace {

void attach(long n) {
    for (; n; --n)
        pybind11::gil_scoped_acquire here;
}

void call(object *function, long n) {
    for (; n; --n) {
        pybind11::gil_scoped_acquire here;
        pybind11::handle(reinterpret_cast<PyObject *>(function))();
    }
}

void detach(long n) {
    for (; n; --n)
        pybind11::gil_scoped_release gap;
}

// The first to ask for pybind11's internals binds them to its thread state, which must be one that stays.
void import() { pybind11::detail::get_internals(); }

peer it() {
#ifdef BENCH_ROUTED
    peer it = {"pybind11, routed"};
#else
    peer it = {"pybind11"};
#endif
    it.import = import;
    it.nested = it.attach = attach;
    it.detach = detach;
    it.call = call;
    return it;
}

} // namespace

#ifdef BENCH_ROUTED
const peer pybind11_routed = it();
#else
const peer pybind11_peer = it();
#endif

} // namespace bench
