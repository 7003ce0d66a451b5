// Cython: the loops are in cython.pyx, because Cython's guards are blocks of its language.
#include <Python.h>

#include <cstdlib>

#include "guards.hpp"

extern "C" {
void bench_cython_attach(long n);
void bench_cython_calls(void *function, long n);
void bench_cython_detach(long n);
PyObject *PyInit_bench_cython();
}

namespace bench {
namespace {

void call(object *function, long n) { bench_cython_calls(function, n); }

// Compiled for the older, single-phase initialization, this makes the whole module.
void import() {
    if (!PyInit_bench_cython())
        std::abort();
}

peer make(const char *name) {
    peer it = {name};
    it.import = import;
    it.nested = it.attach = bench_cython_attach;
    it.detach = bench_cython_detach;
    it.call = call;
    return it;
}

} // namespace

BENCH_PEER(cython, "Cython", make);

} // namespace bench
