// The extension module in C++.
#include "extension.c"
