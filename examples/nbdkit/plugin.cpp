// A plugin of nbdkit: a block device whose requests a Python script answers, on nbdkit's own threads.
//
//     nbdkit ./nbdkit-pyattach-plugin.so disk.py
//
// The script is one that nbdkit's Python plugin takes (nbdkit-python-plugin(3), API_VERSION 2). This is built without
// Python.h and without a libpython: libpython=PATH chooses one at run time.
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <dlfcn.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL // at most: the script chooses

#include <pyattach/pyattach.hpp>

#include "module.hpp"

namespace {

using pyattach::owned;
using pyattach::python_error;
using pyattach::token;

// The functions of the script, and one of the module, in the same order.
// clang-format off
enum function : std::size_t {
    CONFIG, CONFIG_COMPLETE, GET_THREAD_MODEL, GET_READY, AFTER_FORK, CLEANUP, PRECONNECT, OPEN, CLOSE, GET_SIZE,
    IS_ROTATIONAL, CAN_MULTI_CONN, CAN_WRITE, CAN_FLUSH, CAN_TRIM, CAN_ZERO, CAN_FUA,
    PREAD, PWRITE, FLUSH, TRIM, ZERO, REPORT
};
constexpr std::array names = {
    "config", "config_complete", "thread_model", "get_ready", "after_fork", "cleanup", "preconnect", "open", "close", "get_size",
    "is_rotational", "can_multi_conn", "can_write", "can_flush", "can_trim", "can_zero", "can_fua",
    "pread", "pwrite", "flush", "trim", "zero", "report"};
// clang-format on
static_assert(names.size() == REPORT + 1);

struct plugin_state {
    std::string script, libpython;
    std::vector<std::pair<std::string, std::string>> parameters; // of the script
    std::array<owned, names.size()> functions;                   // empty: the script has none of this name
    owned memoryview, bytearray;                                 // Python's types
    // PyByteArray_AsString, of Python's stable ABI: the one function of the C API that is called here directly.
    char *(*bytearray_data)(struct _object *) = nullptr;
};
plugin_state *state = nullptr; // from load to the end of the process

// What the script gave to nbdkit.set_error in the call that this thread is at.
thread_local int error_number = 0;
void note_error(int number) { error_number = number; }

// Calls `work()`. What that throws goes to nbdkit's log, Python's exceptions with their traceback, and the client gets
// the error number of an OSError. Then the result is `failed`.
template <class Result, class Work> Result reporting(token py, function what, Result failed, Work &&work) {
    error_number = 0;
    try {
        try {
            return work();
        } catch (const python_error &raised) {
            py.call(state->functions[REPORT], names[what], raised.get(), error_number);
        }
    } catch (const std::exception &error) {
        nbdkit_error("%s: %s", names[what], error.what());
    }
    return failed;
}

// The same, with `work(token)` and on any thread.
template <class Result, class Work> Result attached(function what, Result failed, Work &&work) {
    pyattach::attached here{std::nothrow, names[what]};
    if (here)
        return reporting(here.token(), what, failed, [&] { return work(here.token()); });
    nbdkit_error("%s: %s", names[what], pyattach_status_message(here.status()));
    nbdkit_set_error(ESHUTDOWN);
    return failed;
}

bool has(function what) { return static_cast<bool>(state->functions[what]); }

// Calls a function of the script. There is nothing to do for one that it does not have.
template <class... Arguments> int call(function what, const Arguments &...arguments) {
    return !has(what) ? 0 : attached(what, -1, [&](token py) {
        py.call(state->functions[what], arguments...);
        return 0;
    });
}

template <class Result, class... Arguments> Result ask(function what, Result otherwise, const Arguments &...arguments) {
    return !has(what) ? otherwise : attached(what, Result(-1), [&](token py) {
        return py.to<Result>(py.call(state->functions[what], arguments...));
    });
}

// --- From the start to the end --------------------------------------------------------------------------------------

void load() {
    state = new plugin_state;
    pyattach_set_message_handler([](const char *message, void *) { nbdkit_error("%s", message); }, nullptr);
}

int config(const char *key, const char *value) {
    std::string name = key;
    if (name == "script" && state->script.empty())
        state->script = value;
    else if (name == "libpython")
        state->libpython = value;
    else
        state->parameters.emplace_back(std::move(name), value);
    return 0;
}

void find_types(token py) {
    state->memoryview = py.builtin("memoryview");
    state->bytearray = py.builtin("bytearray");
    // pyattach_python_load has made Python's symbols global.
    state->bytearray_data =
        reinterpret_cast<decltype(state->bytearray_data)>(dlsym(RTLD_DEFAULT, "PyByteArray_AsString"));
}

void make_module(token py) {
    owned module = py.call(py.get_attribute(py.import("types"), "ModuleType"), "nbdkit");
    for (const auto &[name, value] : constants)
        py.set_attribute(module, name, value);
    py.set_attribute(module, "note_error", reinterpret_cast<std::uintptr_t>(&note_error));
    py.run(module_source, py.get_attribute(module, "__dict__"));
    py.call_method(py.get_attribute(py.import("sys"), "modules"), "__setitem__", "nbdkit", module);
    state->functions[REPORT] = py.get_attribute(module, names[REPORT]);
}

void load_script(token py) {
    owned globals = py.call(py.get_attribute(py.import("nbdkit"), "load_script"), state->script);
    const owned none = py.None();
    for (std::size_t what = CONFIG; what < REPORT; ++what)
        if (owned found = py.call_method(globals, "get", names[what]); found.get() != none.get())
            state->functions[what] = std::move(found);
}

// Python starts before nbdkit forks to become a daemon: an error in the script has to be reported on the terminal, and
// nbdkit asks for the thread model before it forks. after_fork puts Python in order in the child.
int config_complete() {
    const char *libpython = state->libpython.empty() ? nullptr : state->libpython.c_str();
    if (state->script.empty()) {
        nbdkit_error("which script? say script=FILE");
        return -1;
    }
    if (pyattach_python_load(libpython) != PYATTACH_OK || pyattach_interpreter_start() != PYATTACH_OK)
        return -1; // the message handler was told why
    const int loaded = attached(CONFIG_COMPLETE, -1, [](token py) {
        find_types(py);
        make_module(py);
        load_script(py);
        return 0;
    });
    if (loaded != 0)
        return -1;
    for (const auto &[key, value] : state->parameters)
        if (!has(CONFIG)) {
            nbdkit_error("the script has no function config, so it takes no %s=%s", key.c_str(), value.c_str());
            return -1;
        } else if (call(CONFIG, key, value) != 0) {
            return -1;
        }
    return call(CONFIG_COMPLETE);
}

int thread_model() { return ask<int>(GET_THREAD_MODEL, NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS); }
int get_ready() { return call(GET_READY); }

// On the thread that forked; without a fork pyattach_forked has nothing to do. nbdkit's threads begin after this.
int after_fork() { return pyattach_forked() == PYATTACH_OK ? call(AFTER_FORK) : -1; }

void cleanup() { call(CLEANUP); }

// All requests have ended. References may be dropped here, detached: the end of Python releases them.
void unload() {
    for (owned &function : state->functions)
        function.reset();
    state->memoryview.reset();
    state->bytearray.reset();
    if (const pyattach_status status = pyattach_interpreter_stop(); status != PYATTACH_NOT_INITIALIZED)
        nbdkit_debug("Python has ended: %s", pyattach_status_message(status));
}

// --- Connections: a handle is a reference to what the script's open returned ----------------------------------------

void *open_connection(int readonly) {
    return attached(OPEN, static_cast<void *>(nullptr),
                    [&](token py) { return new owned(py.call(state->functions[OPEN], readonly != 0)); });
}
const owned &of(void *handle) { return *static_cast<owned *>(handle); }
void close_connection(void *handle) {
    call(CLOSE, of(handle));
    delete static_cast<owned *>(handle); // attached or not
}
int preconnect(int readonly) { return call(PRECONNECT, readonly != 0); }
std::int64_t get_size(void *handle) { return ask<std::int64_t>(GET_SIZE, -1, of(handle)); }

template <function What, function Needed> int can(void *handle) {
    if (!has(What))
        return Needed != What && has(Needed);
    return attached(
        What, -1, [&](token py) { return static_cast<int>(py.to<bool>(py.call(state->functions[What], of(handle)))); });
}
int can_fua(void *handle) { return ask<int>(CAN_FUA, has(FLUSH) ? NBDKIT_FUA_EMULATE : NBDKIT_FUA_NONE, of(handle)); }

// --- Requests -------------------------------------------------------------------------------------------------------

// The script gets a memoryview of a copy, and the view is released when the call ends: a script that keeps it gets a
// ValueError. README.md says why it is not a view of nbdkit's own memory.
template <class Work> int with_view(token py, function what, const owned &memory, Work &&work) {
    const owned view = py.call(state->memoryview, memory);
    const int result = reporting(py, what, -1, [&] { return work(view); });
    // An array upon it has a reference to the copy: that is not released, and stays good.
    if (!py.call_method(std::nothrow, view, "release"))
        pyattach_error_clear();
    return result;
}
int pread(void *handle, void *memory, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
    return attached(PREAD, -1, [&](token py) {
        const owned copy = py.call(state->bytearray, count);
        return with_view(py, PREAD, copy, [&](const owned &view) {
            py.call(state->functions[PREAD], of(handle), view, offset, flags);
            std::memcpy(memory, state->bytearray_data(copy.get()), count);
            return 0;
        });
    });
}
int pwrite(void *handle, const void *memory, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
    return attached(PWRITE, -1, [&](token py) {
        const owned copy = py.from_bytes({static_cast<const char *>(memory), count});
        return with_view(py, PWRITE, copy, [&](const owned &view) {
            py.call(state->functions[PWRITE], of(handle), view, offset, flags);
            return 0;
        });
    });
}
int flush(void *handle, std::uint32_t flags) { return call(FLUSH, of(handle), flags); }
template <function What> int erase(void *handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
    return call(What, of(handle), count, offset, flags);
}

nbdkit_plugin describe() {
    nbdkit_plugin plugin = {};
    plugin.name = "pyattach";
    plugin.description = "a Python script as a block device";
    plugin.config_help = "script=FILE      the script (required; script= may be left out)\n"
                         "libpython=FILE   the Python; by default the newest that the dynamic linker finds";
    plugin.magic_config_key = "script";
    plugin.load = load;
    plugin.unload = unload;
    plugin.config = config;
    plugin.config_complete = config_complete;
    plugin.thread_model = thread_model;
    plugin.get_ready = get_ready;
    plugin.after_fork = after_fork;
    plugin.cleanup = cleanup;
    plugin.preconnect = preconnect;
    plugin.open = open_connection;
    plugin.close = close_connection;
    plugin.get_size = get_size;
    plugin.is_rotational = can<IS_ROTATIONAL, IS_ROTATIONAL>;
    plugin.can_multi_conn = can<CAN_MULTI_CONN, CAN_MULTI_CONN>;
    plugin.can_write = can<CAN_WRITE, PWRITE>;
    plugin.can_flush = can<CAN_FLUSH, FLUSH>;
    plugin.can_trim = can<CAN_TRIM, TRIM>;
    plugin.can_zero = can<CAN_ZERO, ZERO>;
    plugin.can_fua = can_fua;
    plugin.pread = pread;
    plugin.pwrite = pwrite;
    plugin.flush = flush;
    plugin.trim = erase<TRIM>;
    plugin.zero = erase<ZERO>;
    return plugin;
}

nbdkit_plugin plugin = describe();

} // namespace

NBDKIT_REGISTER_PLUGIN(plugin)
