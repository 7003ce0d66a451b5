// An extension module of pybind11 and this library in one translation unit, which either may come first in.
#if PYATTACH_FIRST
#include <pyattach/pyattach.hpp>
#include <pybind11/pybind11.h>
#else
#include <pybind11/pybind11.h>
#include <pyattach/pyattach.hpp>
#endif

#include <stdexcept>
#include <thread>

namespace {

// pybind11's objects and ours are the same pointers.
pybind11::object evaluated(const char *code) {
    auto here = pyattach::attached::assume();
    return pybind11::reinterpret_steal<pybind11::object>(here.token().eval(code).release());
}

// A thread of ours while pybind11's guard has detached this one.
void call_on_thread(const pybind11::object &function) {
    pyattach::token py = pyattach::token::assume();
    pyattach::owned kept = pyattach::owned::borrow(py, function.ptr());
    pybind11::gil_scoped_release gap;
    if (pyattach_is_attached())
        throw std::logic_error("pybind11 detached the thread, and the library did not see it");
    std::thread([kept = std::move(kept)] {
        pyattach::attached here;
        here.token().call(kept, PyLong_Check(kept.get()) ? "a number" : "from a thread");
    }).join();
}

// And the other way round.
void call_in_gap(const pybind11::object &function) {
    pyattach::token py = pyattach::token::assume();
    pyattach::detached gap{py};
    {
        pybind11::gil_scoped_acquire inner;
        if (!pyattach_is_attached())
            throw std::logic_error("pybind11 attached, and the library did not see it");
        function("inside a gap");
    }
    if (gap.resume() != PYATTACH_OK)
        throw std::logic_error("not back");
}

PyObject *fails(PyObject *, PyObject *) {
    return pyattach::callback(
        [](pyattach::token py) { return py.checked_cast(py.from(1), (PyObject *)&PyUnicode_Type); });
}

PyMethodDef fails_method = {"fails", fails, METH_NOARGS, nullptr};

} // namespace

PYBIND11_MODULE(EXTENSION_NAME, module) {
    module.def("evaluated", evaluated);
    module.def("call_on_thread", call_on_thread);
    module.def("call_in_gap", call_in_gap);
    module.attr("fails") = pybind11::reinterpret_steal<pybind11::object>(PyCFunction_New(&fails_method, nullptr));
}
