#include <pybind11/pybind11.h>

#include "guards.hpp"

namespace bench {
namespace {

void call(object *function) { pybind11::handle(reinterpret_cast<PyObject *>(function))(); }

// The first to ask for pybind11's internals binds them to its thread state, which must be one that stays.
void import() { pybind11::detail::get_internals(); }

peer make(const char *name) {
    peer it = peer_of_guards<pybind11::gil_scoped_acquire, pybind11::gil_scoped_release, call>(name);
    it.import = import;
    return it;
}

} // namespace

BENCH_PEER(pybind11, "pybind11", make);

} // namespace bench
