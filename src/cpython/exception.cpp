// Pending exceptions: reported, and raised by signals.
#include "cpython/exception.hpp"

namespace pyattach::cpython {

void report_unraisable() noexcept {
    guarded([] { python().error_unraisable(nullptr); });
}

bool check_signals_quietly() noexcept {
    kept_error kept;
    return guarded([] {
        const table &py = python();
        const bool has_raised = py.check_signals() != 0;
        if (has_raised)
            py.error_unraisable(nullptr);
        return !has_raised;
    });
}

void warn(const char *message) noexcept {
    kept_error kept;
    guarded([message] {
        const table &py = python();
        if (py.error_warn(*py.runtime_warning, message, 1) < 0)
            py.error_unraisable(nullptr);
    });
}

} // namespace pyattach::cpython
