// In an older C++ the C header serves, and the C++ headers say what they need.
// flags: -std=c++14
#include "pyattach/pyattach.h"

#if defined(CASE_everything) // expect: need C++17: compile with -std=c++17 or newer
#include "pyattach/pyattach.hpp"
#elif defined(CASE_one_header) // expect: need C++17: compile with -std=c++17 or newer
#include "pyattach/token.hpp"
#endif

pyattach_status f();
pyattach_status f() { return pyattach_incref(nullptr); }
