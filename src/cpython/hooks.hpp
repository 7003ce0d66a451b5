// Hooks: the functions of this library that CPython calls at an interpreter's exit and around a fork.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// The attached thread calls these, unless a comment says otherwise.
struct callbacks {
    void (*on_exit)(void *record) noexcept; // from the interpreter's atexit
    void (*on_end_expected)() noexcept;     // when the main interpreter is registered: CPython will call on_end
    void (*on_end)() noexcept;              // when no interpreter is left; not attached
    // Around os.fork(). The first runs before CPython stops the other threads.
    void (*before_fork)() noexcept;
    void (*after_fork_in_parent)() noexcept;
    void (*after_fork_in_child)() noexcept; // once Python itself is in order in the child
    // On a helper thread that the registration starts, before it runs Python code; not attached.
    void (*on_helper_start)() noexcept;
};
enum class hook { registered, too_late, failed };
// Registers the hooks with this interpreter, whose record has been stored by attach_record. `too_late`: the exit
// callbacks of the interpreter run already. Attached; runs Python code; keeps the pending exception.
hook register_exit_hook(interp_state *interp, const callbacks &wanted) noexcept;

} // namespace pyattach::cpython
