// The same as counted_pybind11.cpp with nanobind's guards.
#include <nanobind/nanobind.h>

#include <thread>

namespace nb = nanobind;

namespace {

bool work(const nb::object &function, long times) {
    bool failed = false;
    for (long i = 0; i < times; ++i) {
        nb::gil_scoped_acquire here;
        try {
            function();
            nb::gil_scoped_release gap;
            std::this_thread::yield();
        } catch (nb::python_error &error) {
            error.discard_as_unraisable("counted");
            failed = true;
        }
    }
    return failed;
}

} // namespace

NB_MODULE(counted, module) {
    module.def("call", [](const nb::object &function, long times) {
        bool failed = false;
        nb::gil_scoped_release gap;
        std::thread([&] { failed = work(function, times); }).join();
        return static_cast<int>(failed);
    });
    module.def("leave_behind", [](const nb::object &function) {
        const auto *kept = new nb::object(function);
        std::thread([kept] {
            for (;;)
                work(*kept, 1);
        }).detach();
        return 0;
    });
}
