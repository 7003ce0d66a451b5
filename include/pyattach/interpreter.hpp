/* Interpreter: one life of one interpreter of this process. */
#ifndef PYATTACH_INTERPRETER_HPP
#define PYATTACH_INTERPRETER_HPP

#include "detail/cpp17.hpp"

#include "interpreter.h"

namespace pyattach {
inline namespace abi1 {

/* A handle, copied freely and kept for ever: once that life has ended, attaching there is refused with FINALIZING.
 *
 *     interpreter where = interpreter::current();      attached here{where};                                      */
class interpreter {
  public:
    /* Those of pyattach_interpreter_main and _current: empty if there is none. */
    [[nodiscard]] static interpreter main() noexcept { return interpreter(pyattach_interpreter_main()); }
    [[nodiscard]] static interpreter current() noexcept { return interpreter(pyattach_interpreter_current()); }

    /* Empty, or of a handle of the C face. */
    interpreter() noexcept = default;
    explicit interpreter(pyattach_interpreter *handle) noexcept : handle_(handle) {}

    /* Whether it names one; not whether that one still lives. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /* What C functions take; also what makes two of them comparable. */
    operator pyattach_interpreter *() const noexcept { return handle_; }

  private:
    pyattach_interpreter *handle_ = nullptr;
};

} // namespace abi1
} // namespace pyattach
#endif
