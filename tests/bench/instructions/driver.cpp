// The fast paths, each a thousand times in a function of its own, for count.py to count instructions in. Nothing here
// measures time.
//
//   driver LIBPYTHON PYTHON
//
// Prints the version of Python, as a hexadecimal number, and 1 if it is free-threaded.
#include <pyattach/pyattach.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int times = 1000;

void must(pyattach_status status) {
    if (status == PYATTACH_OK)
        return;
    std::fprintf(stderr, "%s\n", pyattach_status_message(status));
    std::exit(1);
}

pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
_object *one;
pyattach_interpreter *main_interpreter;

// CPython's own ways, for comparison.
int (*ensure)();
void (*release)(int);
void *(*save)();
void (*restore)(void *);

template <class Function> void find(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    if (!function)
        std::exit(1);
}

void begin_and_end() {
    pyattach_attached here;
    must(pyattach_attached_begin(&here));
    pyattach_attached_end(&here);
}

void begin_in_and_end() {
    pyattach_attached here;
    must(pyattach_attached_begin_in(&here, main_interpreter));
    pyattach_attached_end(&here);
}

void detach_and_attach() {
    pyattach_detached gap;
    must(pyattach_detached_begin(&gap));
    must(pyattach_detached_end(&gap));
}

void enter_and_leave() {
    pyattach_critical_section here;
    must(pyattach_critical_section_begin(&here, one));
    pyattach_critical_section_end(&here);
}

_object *new_object() {
    _object *made = nullptr;
    must(pyattach_eval("object()", nullptr, nullptr, &made));
    return made;
}

void add_references(int n) {
    for (; n; --n)
        must(pyattach_incref(one));
}

} // namespace

// Named for what count.py calls them.
#define MEASURED extern "C" __attribute__((noinline, visibility("default"))) void

// Counting begins anew here.
extern "C" __attribute__((noinline, visibility("default"))) void start_counting() { asm volatile(""); }

MEASURED measured_nested() {
    for (int i = 0; i < times; ++i)
        begin_and_end();
}

MEASURED measured_assume() {
    for (int i = 0; i < times; ++i) {
        pyattach_attached here;
        must(pyattach_attached_assume(&here));
        pyattach_attached_end(&here);
    }
}

MEASURED measured_attach() {
    for (int i = 0; i < times; ++i)
        begin_and_end();
}

MEASURED measured_detach() {
    for (int i = 0; i < times; ++i)
        detach_and_attach();
}

MEASURED measured_decref() {
    for (int i = 0; i < times; ++i)
        pyattach_decref(one);
}

MEASURED measured_push() {
    for (int i = 0; i < times; ++i)
        pyattach_decref(one);
}

MEASURED measured_section() {
    for (int i = 0; i < times; ++i)
        enter_and_leave();
}

MEASURED measured_mutex() {
    for (int i = 0; i < times; ++i) {
        pyattach_mutex_lock(&mutex);
        pyattach_mutex_unlock(&mutex);
    }
}

// On a thread that Python attached, each takes a way of its own.
MEASURED measured_python_nested() {
    for (int i = 0; i < times; ++i)
        begin_and_end();
}

MEASURED measured_python_detach() {
    for (int i = 0; i < times; ++i)
        detach_and_attach();
}

MEASURED measured_python_section() {
    for (int i = 0; i < times; ++i)
        enter_and_leave();
}

MEASURED measured_python_decref() {
    for (int i = 0; i < times; ++i)
        pyattach_decref(one);
}

// The slow path, which notes three records while a trace records.
MEASURED measured_slow_attach() {
    for (int i = 0; i < times; ++i)
        begin_in_and_end();
}

MEASURED measured_traced_attach() {
    for (int i = 0; i < times; ++i)
        begin_in_and_end();
}

// The thread has noticed that the trace is over.
MEASURED measured_attach_after_trace() {
    for (int i = 0; i < times; ++i)
        begin_and_end();
}

MEASURED measured_gilstate() {
    for (int i = 0; i < times; ++i)
        release(ensure());
}

MEASURED measured_floor() {
    for (int i = 0; i < times; ++i)
        restore(save());
}

namespace {

void measure(void (*path)()) {
    start_counting();
    path();
}

// Each path twice: only the last time counts, when everything is warm.
void run_all() {
    for (int round = 0; round < 2; ++round) {
        measure(measured_attach);
        pyattach_attached here;
        must(pyattach_attached_begin(&here));
        one = new_object();
        measure(measured_nested);
        measure(measured_assume);
        measure(measured_detach);
        measure(measured_section);
        measure(measured_gilstate);
        measure(measured_floor);
        measure(measured_mutex);
        add_references(2 * times);
        measure(measured_decref);
        pyattach_attached_end(&here);
        measure(measured_push);
        must(pyattach_attached_begin(&here));
        must(pyattach_pool_drain());
        pyattach_decref(one);
        pyattach_attached_end(&here);
    }
}

void run_traced() {
    for (int round = 0; round < 2; ++round) {
        measure(measured_slow_attach);
        must(pyattach_trace_start(nullptr));
        measure(measured_traced_attach);
        must(pyattach_trace_stop());
        begin_and_end();
        measure(measured_attach_after_trace);
    }
}

// On a thread that CPython attached, as it does around every function that Python calls. No scope of this library is
// open, and the thread state is none of its own.
void run_on_python_thread() {
    const int before = ensure();
    for (int round = 0; round < 2; ++round) {
        one = new_object();
        measure(measured_python_nested);
        measure(measured_python_detach);
        measure(measured_python_section);
        add_references(2 * times);
        measure(measured_python_decref);
        for (int i = 0; i <= times; ++i)
            pyattach_decref(one);
    }
    release(before);
}

} // namespace

int main(int, char **argv) {
    must(pyattach_python_load(argv[1]));
    pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF); // its instructions would be counted, too
    find(ensure, "PyGILState_Ensure");
    find(release, "PyGILState_Release");
    find(save, "PyEval_SaveThread");
    find(restore, "PyEval_RestoreThread");
    pyattach_start_options options = {};
    options.struct_size = sizeof options;
    options.program_name = argv[2];
    options.isolated = 1;
    must(pyattach_interpreter_start_with(&options));
    std::thread(run_all).join();
    std::thread(run_on_python_thread).join();
    main_interpreter = pyattach_interpreter_main();
    std::thread(run_traced).join();
    pyattach_python python = {};
    python.struct_size = sizeof python;
    must(pyattach_python_describe(&python));
    std::printf("%x %d\n", python.version_hex, python.free_threaded);
    must(pyattach_interpreter_stop());
}
