// What PyPy looks like from outside: nothing of CPython's names, but for a prefix.
extern "C" __attribute__((visibility("default"))) int PyPy_IsInitialized() { return 1; }
