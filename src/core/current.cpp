// The current tstate: whether this thread is attached.
#include "core/current.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"

namespace pyattach {

thread_state *current_tstate() noexcept {
    const thread *me = this_thread.record();
    const cpython::table &py = cpython::python();
    const bool is_known = __builtin_expect(me && me->current_at != &cpython::unknown, 1);
    // In a fork child `current_at` is unknown until Python is in order, and in a stranded one CPython is not called.
    thread_state *tstate = is_known ? cpython::peek(me->current_at) : is_stranded() ? nullptr : py.current();
    if (!tstate || py.current_is_own)
        return tstate;
    return (me && is_of_top(*me, tstate)) || is_own_tstate(tstate) ? tstate : nullptr;
}

status refuse_forbidden() noexcept {
    static refusal_site traverse;
    return refused(PYATTACH_FORBIDDEN, traverse,
                   "A call was refused because its thread is inside a forbidden scope. Inside tp_traverse nothing "
                   "attaches, detaches or calls Python. Make the call elsewhere; pyattach_decref may be called there.");
}

status refuse_not_running() noexcept {
    static refusal_site not_running;
    return refused(PYATTACH_NOT_INITIALIZED, not_running,
                   "A thread was not attached because no Python runs: it was never started, or it has ended. A thread "
                   "attaches to a Python that runs. Start it with pyattach_interpreter_start, or do without it.");
}

status require_attached() noexcept {
    if (this_thread.forbidden)
        return refuse_forbidden();
    if (current_tstate())
        return PYATTACH_OK;
    return is_stranded() ? refused_after_fork() : PYATTACH_NOT_ATTACHED;
}

} // namespace pyattach
