#include <nanobind/nanobind.h>

#include "guards.hpp"

namespace bench {
namespace {

// nanobind's own way to call is in its compiled library, which this program does without.
void call(object *function) { Py_XDECREF(PyObject_CallNoArgs(reinterpret_cast<PyObject *>(function))); }

void section(object *one, long n) {
    for (; n; --n)
        nanobind::ft_object_guard here{reinterpret_cast<PyObject *>(one)};
}

void section2(object *one, object *two, long n) {
    for (; n; --n)
        nanobind::ft_object2_guard here{reinterpret_cast<PyObject *>(one), reinterpret_cast<PyObject *>(two)};
}

peer make(const char *name) {
    peer it = peer_of_guards<nanobind::gil_scoped_acquire, nanobind::gil_scoped_release, call>(name);
    it.section = section;
    it.section2 = section2;
    return it;
}

} // namespace

BENCH_PEER(nanobind, "nanobind", make);

} // namespace bench
