/* Interpreter: one life of one interpreter of this process. */
#ifndef PYATTACH_INTERPRETER_HPP
#define PYATTACH_INTERPRETER_HPP

#include "detail/cpp17.hpp"

#include "interpreter.h"

namespace pyattach {
inline namespace abi1 {

/* A handle of one life of one interpreter. It may be copied and kept for ever: once that life has ended, attaching to
 * it is refused with PYATTACH_FINALIZING.
 *
 *     interpreter plugin = interpreter::current();      attached here{plugin};                                    */
class interpreter {
  public:
    /* The handles that pyattach_interpreter_main and pyattach_interpreter_current return: empty if there is none. They
     * may block and may run Python code, as those functions do. */
    [[nodiscard]] static interpreter main() noexcept { return interpreter(pyattach_interpreter_main()); }
    [[nodiscard]] static interpreter current() noexcept { return interpreter(pyattach_interpreter_current()); }

    /* Empty, or made from a handle of the C API. */
    interpreter() noexcept = default;
    explicit interpreter(pyattach_interpreter *handle) noexcept : handle_(handle) {}

    /* Whether it names an interpreter, which may have ended. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /* The handle for functions of the C API; it also makes two interpreters comparable. */
    operator pyattach_interpreter *() const noexcept { return handle_; }

  private:
    pyattach_interpreter *handle_ = nullptr;
};

} // namespace abi1
} // namespace pyattach
#endif
