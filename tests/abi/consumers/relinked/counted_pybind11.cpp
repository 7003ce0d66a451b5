// The same as counted.c with pybind11's guards.
#include <pybind11/pybind11.h>

#include <thread>

namespace py = pybind11;

namespace {

bool work(const py::object &function, long times) {
    bool failed = false;
    for (long i = 0; i < times; ++i) {
        py::gil_scoped_acquire here;
        try {
            function();
            py::gil_scoped_release gap;
            std::this_thread::yield();
        } catch (py::error_already_set &error) {
            error.restore();
            PyErr_WriteUnraisable(nullptr);
            failed = true;
        }
    }
    return failed;
}

void fill(py::module_ &module) {
    module.def("call", [](const py::object &function, long times) {
        bool failed = false;
        py::gil_scoped_release gap;
        std::thread([&] { failed = work(function, times); }).join();
        return static_cast<int>(failed);
    });
    module.def("leave_behind", [](const py::object &function) {
        const auto *kept = new py::object(function);
        std::thread([kept] {
            for (;;)
                work(*kept, 1);
        }).detach();
        return 0;
    });
}

} // namespace

#if PYBIND11_VERSION_MAJOR >= 3
PYBIND11_MODULE(counted, module, py::mod_gil_not_used()) { fill(module); }
#else
PYBIND11_MODULE(counted, module) { fill(module); }
#endif
