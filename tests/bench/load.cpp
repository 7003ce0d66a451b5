// What loading the library and attaching for the first time costs, in a process that Python runs in already.
//
//   bench_load LIBPYTHON LIBPYATTACH
//
// Prints a line of JSON, in nanoseconds. The modules that an exit hook needs, which are Python's affair, are imported
// beforehand, and timed apart.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>

#include <pyattach/attached.h>

namespace {

double now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

void *open(const char *path, int flags) {
    void *opened = dlopen(path, flags);
    if (!opened) {
        std::fprintf(stderr, "%s\n", dlerror());
        std::exit(1);
    }
    return opened;
}

template <class Function> Function *function(void *of, const char *name) {
    void *found = dlsym(of, name);
    if (!found) {
        std::fprintf(stderr, "%s\n", dlerror());
        std::exit(1);
    }
    return reinterpret_cast<Function *>(found);
}

} // namespace

int main(int, char **argv) {
    void *python = open(argv[1], RTLD_NOW | RTLD_GLOBAL);
    function<void(int)>(python, "Py_InitializeEx")(0);
    double begun = now_ns();
    if (function<int(const char *, void *)>(python, "PyRun_SimpleStringFlags")("import atexit, threading", nullptr) !=
        0)
        return 1;
    double imported = now_ns();
    void *kept = function<void *()>(python, "PyEval_SaveThread")();

    double loaded = 0, attached = 0, again = 0, started = 0;
    std::thread([&] {
        started = now_ns();
        void *library = open(argv[2], RTLD_NOW);
        auto *begin = function<decltype(pyattach_attached_begin)>(library, "pyattach_attached_begin");
        auto *end = function<decltype(pyattach_attached_end)>(library, "pyattach_attached_end");
        loaded = now_ns();
        pyattach_attached here;
        if (begin(&here) != PYATTACH_OK)
            std::exit(1);
        end(&here);
        attached = now_ns();
        if (begin(&here) != PYATTACH_OK)
            std::exit(1);
        end(&here);
        again = now_ns();
    }).join();

    std::printf("{\"import\": %.0f, \"load\": %.0f, \"first_attach\": %.0f, \"second_attach\": %.0f}\n",
                imported - begun, loaded - started, attached - loaded, again - attached);
    function<void(void *)>(python, "PyEval_RestoreThread")(kept);
    return function<int()>(python, "Py_FinalizeEx")() != 0;
}
