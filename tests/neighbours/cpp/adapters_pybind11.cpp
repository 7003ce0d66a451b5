// The adapters in a module of pybind11's.
#include <pybind11/stl.h>

#include "pyattach/pybind11.hpp"

#include "adapters.hpp"

namespace py = pybind11;

namespace {

using functions = adapters::module_of<py::object>;
using detached = py::call_guard<pyattach::detached_guard>;

py::object there_and_back(py::object object) {
    pyattach::token token = pyattach::token::assume();
    pyattach::shared_owned shared = pyattach::to_owned(token, std::move(object));
    py::object borrowed = pyattach::to_pybind11(token, shared);
    return pyattach::to_pybind11(token, pyattach::to_owned(token, std::move(borrowed)));
}

void fill(py::module_ &module) {
    pyattach::translate_errors(module);
    py::class_<adapters::point>(module, "point")
        .def(py::init([](int x, int y) {
            return adapters::point{x, y};
        }))
        .def_readwrite("x", &adapters::point::x)
        .def_readwrite("y", &adapters::point::y);
    module.def("keep", functions::keep);
    module.def("take", functions::take);
    module.def("is_kept", functions::is_kept);
    module.def("put", functions::put);
    module.def("get", functions::get);
    module.def("drop_on_thread", functions::drop_on_thread);
    module.def("keep_pair", functions::keep_pair);
    module.def("first_of_pair", functions::first_of_pair);
    module.def("drop_pairs_on_thread", functions::drop_pairs_on_thread);
    module.def("is_detached", functions::is_detached, detached());
    module.def("call_on_thread", functions::call_on_thread, detached());
    module.def("call_throwing_on_thread", functions::call_throwing_on_thread, detached());
    module.def("call_throwing", functions::call_throwing);
    module.def("same", functions::same);
    module.def("is_empty", functions::is_empty);
    module.def("keep_function", functions::keep_function);
    module.def("call_until_the_end", functions::call_until_the_end);
    module.def("raise_missing", functions::raise);
    module.def("there_and_back", there_and_back);
}

} // namespace

#if PYBIND11_VERSION_MAJOR >= 3
PYBIND11_MODULE(adapters_pybind11, module, py::mod_gil_not_used()) { fill(module); }
#else
PYBIND11_MODULE(adapters_pybind11, module) { fill(module); }
#endif
