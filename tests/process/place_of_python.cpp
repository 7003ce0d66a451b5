// In whose place a libpython is found at run time: see plugin_test.cpp.
extern "C" __attribute__((visibility("default"))) int place_of_python() { return 0; }
