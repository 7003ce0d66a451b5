// The plugin in C++.
#include "plugin.c"
