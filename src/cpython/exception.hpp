// Pending exceptions: kept, reported, and raised by signals. Each function needs an attached thread.
#pragma once

#include "cpython/guarded.hpp"

namespace pyattach::cpython {

// Takes the pending exception out for as long as the object lives. Never inside `guarded`.
class kept_error {
  public:
    kept_error() noexcept { python().error_fetch(&type_, &value_, &traceback_); }
    ~kept_error() noexcept {
        guarded([this] { python().error_restore(type_, value_, traceback_); });
    }
    kept_error(const kept_error &) = delete;
    kept_error &operator=(const kept_error &) = delete;

  private:
    object *type_ = nullptr, *value_ = nullptr, *traceback_ = nullptr;
};

// Reports the pending exception through sys.unraisablehook.
void report_unraisable() noexcept;
// Runs the Python handlers of pending signals, such as that of Ctrl-C. False: a handler raised an exception, which is
// reported as unraisable. Keeps the pending exception.
bool check_signals_quietly() noexcept;
// Issues a RuntimeWarning. If that raises, the exception is reported as unraisable. Keeps the pending exception.
void warn(const char *message) noexcept;

} // namespace pyattach::cpython
