// A library that says it is a Python and is none. It has every function that libpyattach looks for; calling one but
// Py_GetVersion traps. The list of functions is the library's own, so that "lacks a function" is about that function
// alone.
#define REQUIRED(result, name, parameters, symbol, other)                                                              \
    extern "C" void fake_##name() __asm__(symbol);                                                                     \
    extern "C" __attribute__((weak, visibility("default"))) void fake_##name() { __builtin_trap(); }
#define OPTIONAL(result, name, parameters, symbol, other)
#include "../../src/cpython/functions.inc"
#undef REQUIRED
#undef OPTIONAL

extern "C" {
__attribute__((visibility("default"))) void *_Py_NoneStruct[4], *PyExc_TypeError, *PyExc_RuntimeWarning,
    *PyExc_SystemError, *PyExc_MemoryError;
}
