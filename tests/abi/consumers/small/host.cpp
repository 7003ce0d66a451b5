// The host in C++.
#include "host.c"
