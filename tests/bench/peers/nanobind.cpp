#include <nanobind/nanobind.h>

#include "peers.hpp"

namespace bench {
namespace {

void attach(long n) {
    for (; n; --n)
        nanobind::gil_scoped_acquire here;
}

// nanobind's own way to call is in its compiled library, which this program does without.
void call_attached(object *function, long n) {
    for (; n; --n) {
        nanobind::gil_scoped_acquire here;
        Py_XDECREF(PyObject_CallNoArgs(reinterpret_cast<PyObject *>(function)));
    }
}

void detach(long n) {
    for (; n; --n)
        nanobind::gil_scoped_release gap;
}

void section(object *one, long n) {
    for (; n; --n)
        nanobind::ft_object_guard here{reinterpret_cast<PyObject *>(one)};
}

void section2(object *one, object *two, long n) {
    for (; n; --n)
        nanobind::ft_object2_guard here{reinterpret_cast<PyObject *>(one), reinterpret_cast<PyObject *>(two)};
}

peer it() {
#ifdef BENCH_ROUTED
    peer it = {"nanobind, routed"};
#else
    peer it = {"nanobind"};
#endif
    it.nested = it.attach = attach;
    it.detach = detach;
    it.call = call_attached;
    it.section = section;
    it.section2 = section2;
    return it;
}

} // namespace

#ifdef BENCH_ROUTED
const peer nanobind_routed = it();
#else
const peer nanobind_peer = it();
#endif

} // namespace bench
