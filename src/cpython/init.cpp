// Starts CPython, with options, without its headers. Py_InitializeEx ends the process when it fails, so PyConfig is
// used, which reports; of which only the head is touched, and that is checked.
#include "cpython/cpython.hpp"

#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/diagnostics.hpp"
#include "platform/process.hpp"
#include "pyattach/interpreter.h"

namespace pyattach::cpython {
namespace {

// PyConfig: these five ints open it in every version from 3.9 to 3.15; the whole is below 1 KiB.
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
    // Kept by CPython until it ends, and by the next start if that gives none.
    for (auto [text, set] :
         {std::pair(wanted.program_name, py.set_program_name), std::pair(wanted.home, py.set_home)}) {
        if (!text)
            continue;
        wchar_t *decoded = py.decode_locale(text, nullptr);
        if (!decoded)
            return failed("the program's name or its home cannot be decoded in this locale");
        set(decoded);
    }
    config all = {};
    py.config_init(&all);
    if (all.use_environment != 1 || all.install_signal_handlers != 1)
        return failed("its PyConfig does not begin as known"); // GCOVR_EXCL_LINE: every Python so far begins as known
    if (wanted.isolated) {
        all.isolated = 1;
        all.use_environment = 0;
    }
    all.install_signal_handlers = wanted.install_signal_handlers != 0;
    init_outcome outcome = py.config_start(&all);
    py.config_clear(&all);
    return outcome.kind == 0 || failed(outcome.message);
}

// CPython cannot be started again after it failed half way, so what is sure to fail is refused before it begins.
bool is_home_there(const char *home) noexcept {
    char first[PATH_MAX]; // "prefix" or "prefix:exec_prefix"
    std::snprintf(first, sizeof first, "%.*s", static_cast<int>(std::strcspn(home, ":")), home);
    return is_directory(first);
}

bool start(const table &py, const pyattach_start_options &wanted) {
    if (wanted.home && !is_home_there(wanted.home))
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
        // Half way CPython leaves a thread state behind, which would make this thread look attached.
        if (!has_started && py.current())
            py.save();
        return has_started;
    });
}

} // namespace pyattach::cpython
