// The frozen layout, seen from C++.
#include "layout_test.c"
