// libpyattach-preload.so: routes the calls of objects that were linked without this library, by the words through which
// they call. It is a library of its own beside libpyattach.so, which it calls. It does nothing before it is asked to:
// by LD_PRELOAD, when it is loaded with the program, or by the functions here, which the Python package pyattach calls.
#include "preload/preload.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "preload/follow.hpp"
#include "preload/loading.hpp"
#include "preload/process_trace.hpp"
#include "preload/report.hpp"
#include "pyattach/gilstate.h"

using namespace pyattach;

namespace {

// --- What calls reach after routing has been undone. Those of a thread that has opened something while its calls were
// routed still end it in this library; else they are CPython's. A release, and a deletion, tell by themselves.

enum number : unsigned {
#define ROUTED(symbol, function) number_of_##symbol,
#include "routed_functions.inc"
#undef ROUTED
};

template <class Function> Function *plain(number route) {
    return reinterpret_cast<Function *>(preload::plain(route)); // POSIX allows it
}

void *save_leaving() {
    if (pyattach_gilstate_is_open(nullptr))
        return pyattach_gilstate_save();
    return plain<void *()>(number_of_PyEval_SaveThread)();
}
void restore_leaving(void *tstate) {
    if (tstate && pyattach_gilstate_is_open(tstate))
        return pyattach_gilstate_restore(tstate);
    plain<void(void *)>(number_of_PyEval_RestoreThread)(tstate);
}
void acquire_thread_leaving(void *tstate) {
    if (tstate && pyattach_gilstate_is_open(tstate))
        return pyattach_gilstate_acquire_thread(tstate);
    plain<void(void *)>(number_of_PyEval_AcquireThread)(tstate);
}
void release_thread_leaving(void *tstate) {
    if (pyattach_gilstate_is_open(nullptr))
        return pyattach_gilstate_release_thread(tstate);
    plain<void(void *)>(number_of_PyEval_ReleaseThread)(tstate);
}

void *dlopen_routed(const char *name, int flags) { return preload::load(name, flags, __builtin_return_address(0)); }
void *dlmopen_routed(long name_space, const char *name, int flags) {
    return preload::load_into(name_space, name, flags);
}

// --- The routes

template <class Function> void *address(Function *function) { return reinterpret_cast<void *>(function); }

enum : unsigned {
    number_of_dlopen = 0
#define ROUTED(symbol, function) +1
#include "routed_functions.inc"
#undef ROUTED
    ,
    number_of_dlmopen,
    route_count
};
static_assert(route_count <= preload::most_routes, "each has a place");
preload::route routes[route_count];

// By the constructor, which may run before what would be initialized at run time.
void fill_routes() {
#define ROUTED(symbol, function) routes[number_of_##symbol] = {#symbol, address(function), nullptr, false};
#include "routed_functions.inc"
#undef ROUTED
    routes[number_of_dlopen] = {"dlopen", address(dlopen_routed), nullptr, true};
    routes[number_of_dlmopen] = {"dlmopen", address(dlmopen_routed), nullptr, true};
    routes[number_of_PyGILState_Release].leaving = address(pyattach_gilstate_release);
    routes[number_of_PyThreadState_DeleteCurrent].leaving = address(pyattach_gilstate_delete_current);
    routes[number_of_PyEval_SaveThread].leaving = address(save_leaving);
    routes[number_of_PyEval_RestoreThread].leaving = address(restore_leaving);
    routes[number_of_PyEval_AcquireThread].leaving = address(acquire_thread_leaving);
    routes[number_of_PyEval_ReleaseThread].leaving = address(release_thread_leaving);
}

// Whether the dynamic linker was told to load this library with the program.
bool is_preloaded() {
    const char *names = std::getenv("LD_PRELOAD");
    return names && std::strstr(names, "libpyattach-preload");
}

__attribute__((constructor)) void begin() {
    fill_routes();
    preload::use({routes, route_count, "Py_IsInitialized", "pyattach_attached_begin"});
    if (!is_preloaded())
        return;
    if (!preload::report::set(std::getenv("PYATTACH_RUN_VERBOSE")))
        preload::report::failure("the file that PYATTACH_RUN_VERBOSE names cannot be opened. It is \"1\", for standard "
                                 "error, or the path of a file that may be written. The lines follow here.");
    preload::process_trace::begin_as_environment_says();
    preload::start(std::getenv("PYATTACH_RUN_ONLY"), std::getenv("PYATTACH_RUN_EXCEPT"));
}

// Not by atexit(): functions that were registered there before this library was loaded are called later, and one of
// them may end Python. Destructors of libraries are called after all of these, and this library's before that of
// libpyattach, which it needs.
__attribute__((destructor)) void end() { preload::process_trace::finish(); }

} // namespace

extern "C" {

int pyattach_preload_route(const char *only, const char *except, const char *verbose) {
    if (verbose && !preload::report::set(verbose))
        return 2;
    return preload::start(only, except) ? 0 : 1;
}
int pyattach_preload_unroute(void) { return preload::stop() ? 0 : 1; }
int pyattach_preload_describe(unsigned number, char *path, size_t size, unsigned *words, unsigned *functions) {
    preload::routed_object found;
    if (!preload::describe(number, found))
        return 0;
    std::strncpy(path, found.path, size);
    path[size - 1] = '\0';
    *words = found.words;
    *functions = found.routes;
    return 1;
}
int pyattach_preload_trace_check(const char *path, const char *format, const char *signal, char *said, size_t size) {
    preload::process_trace::plan planned;
    if (!preload::process_trace::make_plan({path, format, signal}, planned, said, size))
        return 1;
    std::snprintf(said, size, "%s", planned.path);
    return 0;
}
int pyattach_preload_trace(const char *path, const char *format, const char *signal, char *said, size_t size) {
    preload::process_trace::plan planned;
    if (!preload::process_trace::make_plan({path, format, signal}, planned, said, size))
        return 1;
    return preload::process_trace::begin(planned, true, said, size) ? 0 : 2;
}
const char *pyattach_preload_function(unsigned number) {
    return number < route_count && !routes[number].loads ? routes[number].symbol : nullptr;
}

} // extern "C"
