// Starting CPython with options, without its headers.
//
// Py_InitializeEx ends the process when it fails. So Python is started with a PyConfig, which returns a failure. Only
// the first fields of the PyConfig are written, after a check of what CPython has written there.
#include "cpython/init.hpp"

#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/diagnostics.hpp"
#include "cpython/exception.hpp"
#include "cpython/module.hpp"
#include "platform/process.hpp"
#include "pyattach/interpreter.h"

namespace pyattach::cpython {
namespace {

// PyConfig begins with these five ints in every version from 3.9 to 3.15, and is smaller than 1 KiB.
struct config {
    int kind, isolated, use_environment, dev_mode, install_signal_handlers;
    unsigned char rest[4076];
};
static_assert(sizeof(config) == 4096);

bool failed(const char *message) noexcept {
    report("Python did not start: %s", message ? message : "no reason given");
    return false;
}

bool start_by_config(const table &py, const pyattach_start_options &wanted) {
    // CPython keeps these texts until it ends, and uses them at the next start if that passes none.
    for (auto [text, set] :
         {std::pair(wanted.program_name, py.set_program_name), std::pair(wanted.home, py.set_home)}) {
        if (!text)
            continue;
        wchar_t *decoded = py.decode_locale(text, nullptr);
        if (!decoded)
            return failed("the program's name or its home cannot be decoded in this locale");
        set(decoded);
    }
    config options = {};
    py.config_init(&options);
    if (options.use_environment != 1 || options.install_signal_handlers != 1)
        return failed("its PyConfig does not begin as known"); // GCOVR_EXCL_LINE: every Python so far begins as known
    if (wanted.isolated) {
        options.isolated = 1;
        options.use_environment = 0;
    }
    options.install_signal_handlers = wanted.install_signal_handlers != 0;
    init_outcome outcome = py.config_start(&options);
    py.config_clear(&options);
    return outcome.kind == 0 || failed(outcome.message);
}

// After a start that has failed half way, CPython cannot be started again. So a home that is sure to make it fail is
// refused before the start.
bool is_home_a_directory(const char *home) noexcept {
    char first[PATH_MAX]; // "prefix" or "prefix:exec_prefix"
    std::snprintf(first, sizeof first, "%.*s", static_cast<int>(std::strcspn(home, ":")), home);
    return is_directory(first);
}

bool start(const table &py, const pyattach_start_options &wanted) {
    if (wanted.home && !is_home_a_directory(wanted.home))
        return failed("its home is not a directory");
    if (py.config_init && py.config_start && py.config_clear && py.decode_locale && py.set_program_name && py.set_home)
        return start_by_config(py, wanted);
    py.initialize(wanted.install_signal_handlers != 0);
    return true;
}

} // namespace

bool start(const pyattach_start_options *options) noexcept {
    pyattach_start_options wanted = {};
    if (options)
        std::memcpy(&wanted, options, options->struct_size < sizeof wanted ? options->struct_size : sizeof wanted);
    return guarded([&] {
        const table &py = python();
        bool has_started = start(py, wanted);
        // A start that has failed half way leaves a current tstate behind, with which this thread would count as
        // attached.
        if (!has_started && py.current())
            py.save();
        return has_started;
    });
}

bool is_usable() noexcept {
    kept_error kept;
    return guarded([] {
        const table &py = python();
        object *site = loaded_module("site");
        if (!site) {
            object *sys = loaded_module("sys");
            object *flags = sys ? py.get_attribute(sys, "flags") : nullptr;
            bool without_site = flags && is_attribute_true(flags, "no_site");
            py.decref(flags);
            py.error_clear();
            return without_site;
        }
        object *spec = py.get_attribute(site, "__spec__");
        bool is_importing = spec && is_attribute_true(spec, "_initializing");
        py.decref(spec);
        py.error_clear();
        return !is_importing;
    });
}

} // namespace pyattach::cpython
