// What the fake Python calls itself. Apart from the other functions, whose list has this one too, as a weak symbol.
extern "C" __attribute__((visibility("default"))) const char *Py_GetVersion() { return FAKE_VERSION; }
