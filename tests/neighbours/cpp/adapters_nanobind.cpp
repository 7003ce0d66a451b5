// The adapters in a module of nanobind's.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "pyattach/nanobind.hpp"

#include "adapters.hpp"

namespace nb = nanobind;

namespace {

using functions = adapters::module_of<nb::object>;
using detached = nb::call_guard<pyattach::detached_guard>;

nb::object there_and_back(nb::object object) {
    pyattach::token token = pyattach::token::assume();
    pyattach::shared_owned shared = pyattach::to_owned(token, std::move(object));
    nb::object borrowed = pyattach::to_nanobind(token, shared);
    return pyattach::to_nanobind(token, pyattach::to_owned(token, std::move(borrowed)));
}

} // namespace

NB_MODULE(adapters_nanobind, module) {
    nb::set_leak_warnings(false); // objects are kept beyond the end of Python, on purpose
    pyattach::translate_errors(module);
    nb::class_<adapters::point>(module, "point")
        .def("__init__",
             [](adapters::point *self, int x, int y) {
                 new (self) adapters::point{x, y};
             })
        .def_rw("x", &adapters::point::x)
        .def_rw("y", &adapters::point::y);
    module.def("keep", functions::keep, nb::arg().none());
    module.def("take", functions::take);
    module.def("is_kept", functions::is_kept, nb::arg().none());
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
    module.def("same", functions::same, nb::arg().none());
    module.def("is_empty", functions::is_empty, nb::arg().none());
    module.def("keep_function", functions::keep_function);
    module.def("call_until_the_end", functions::call_until_the_end);
    module.def("raise_missing", functions::raise);
    module.def("there_and_back", there_and_back);
}
