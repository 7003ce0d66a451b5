// Part of the library in coverage builds only: writes down what ran so far. Each binary has counters of its own, and
// those of the library are hidden in it as everything is.
extern "C" void __gcov_dump();

extern "C" __attribute__((visibility("default"))) void pyattach_coverage_dump() { __gcov_dump(); }
