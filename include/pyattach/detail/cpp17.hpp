/* The check that the compiler is set to C++17: it gives one error message instead of hundreds. */
#ifndef PYATTACH_DETAIL_CPP17_HPP
#define PYATTACH_DETAIL_CPP17_HPP

#if __cplusplus < 201703L
#error "The C++ headers of libpyattach need C++17: compile with -std=c++17 or newer, or include pyattach/pyattach.h"
#endif

#endif
