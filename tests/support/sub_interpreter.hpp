// A sub-interpreter, made and ended as other code does it: through CPython, without the library. Attached to the main
// interpreter, and always on the same thread.
#pragma once

#include <exception>
#include <functional>

#include "support/python.hpp"

namespace support {

// Whether this Python has interpreters with a GIL of their own.
inline bool has_own_gils() { return python_version() >= 0x030c0000; }
// Up to 3.12 Py_NewInterpreter changes the raw allocator for a moment (_Py_ClearStandardStreamEncoding). On a debug
// build that takes two steps, in between which a thread that makes or deletes a tstate meets the wrong allocator: it
// aborts.
inline bool makes_them_beside_threads() { return !is_debug_build() || python_version() >= 0x030d0000; }
// Up to 3.11 the library cannot see that other code switched a thread to a sub-interpreter.
inline bool sees_switches() { return python_version() >= 0x030c0000; }

class sub_interpreter {
  public:
    enum kind { legacy, own_gil };
    explicit sub_interpreter(kind = legacy);
    sub_interpreter(const sub_interpreter &) = delete;
    sub_interpreter &operator=(const sub_interpreter &) = delete;
    ~sub_interpreter() {
        if (std::uncaught_exceptions() == 0) // after a failure the thread may be attached anywhere
            end();
    }

    // The library's handle. The first call registers the sub-interpreter.
    pyattach_interpreter *handle();
    // Switches this thread to the sub-interpreter with PyThreadState_Swap, calls `function`, and switches back.
    void inside(const std::function<void()> &function);
    // From 3.12: destroys the tstate it was made with, as `_interpreters` does from 3.13. inside() is not allowed after
    // that.
    void end_first_state();
    // Its PyInterpreterState.
    void *state() const { return interpreter_; }
    void end();

  private:
    void *interpreter_ = nullptr, *first_ = nullptr;
    pyattach_interpreter *handle_ = nullptr;
};

} // namespace support
