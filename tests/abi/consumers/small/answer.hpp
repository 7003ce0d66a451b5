// What each consumer in C++ does: see answer.h.
#include <cstdint>
#include <pyattach/attached.hpp>
#include <pyattach/calls.hpp>
#include <pyattach/detached.h>
#include <thread>

inline int answer() {
    int value = 0;
    std::thread([&value] {
        pyattach::owned sum; // dropped when the thread is detached again
        pyattach::attached here;
        sum = here.token().eval("sum(range(10))");
        value = here.token().to<int>(sum);
    }).join();
    return value;
}

inline int answer_of(const char *libpython) {
    if (libpython != nullptr && pyattach_python_load(libpython) != PYATTACH_OK)
        return -1;
    if (pyattach_interpreter_start() != PYATTACH_OK)
        return -2;
    int value = answer();
    return pyattach_interpreter_stop() == PYATTACH_OK ? value : -3;
}
