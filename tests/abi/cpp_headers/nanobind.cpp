// A function of nanobind and this library in one translation unit, which either may come first in. Compiled only:
// nanobind's own library is not at hand.
#if PYATTACH_FIRST
#include <pyattach/pyattach.hpp>
#include <nanobind/nanobind.h>
#else
#include <nanobind/nanobind.h>
#include <pyattach/pyattach.hpp>
#endif

nanobind::object evaluated(const char *code) {
    auto here = pyattach::attached::assume();
    return nanobind::steal(here.token().eval(code).release());
}

void call_in_gap(const nanobind::object &function) {
    pyattach::detached gap{pyattach::token::assume()};
    nanobind::gil_scoped_acquire inner;
    function();
}
