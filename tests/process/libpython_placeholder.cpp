// In whose place a libpython is found at run time: see plugin_test.cpp.
extern "C" __attribute__((visibility("default"))) int libpython_placeholder() { return 0; }
