// nanobind's guards beside this library's scopes.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "nesting.hpp"

namespace {
using scenarios = neighbours::nesting<nanobind::gil_scoped_acquire, nanobind::gil_scoped_release>;
}

NB_MODULE(beside_nanobind, module) {
    module.def("names", scenarios::names);
    module.def("run", scenarios::run);
    module.def("run_on_thread", scenarios::run_on_thread);
    module.def("leave_thread_behind", scenarios::leave_thread_behind);
}
