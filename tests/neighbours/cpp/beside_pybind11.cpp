// pybind11's guards beside this library's scopes.
#include <pybind11/pybind11.h>

#include "nesting.hpp"

namespace {
using scenarios = neighbours::nesting<pybind11::gil_scoped_acquire, pybind11::gil_scoped_release>;

void fill(pybind11::module_ &module) {
    module.def("names", scenarios::names);
    module.def("run", scenarios::run);
    module.def("run_on_thread", scenarios::run_on_thread);
    module.def("leave_thread_behind", scenarios::leave_thread_behind);
}
} // namespace

#if PYBIND11_VERSION_MAJOR >= 3
PYBIND11_MODULE(beside_pybind11, module, pybind11::mod_gil_not_used()) { fill(module); }
#else
PYBIND11_MODULE(beside_pybind11, module) { fill(module); }
#endif
