// Company: whether another thread was inside Python when this process was forked off.
#include "lifecycle/fork_company.hpp"

#include "core/interpreter.hpp"
#include "cpython/fork.hpp"

namespace pyattach {
namespace {

constexpr const char *was_inside =
    "attaching is refused: this process was made by fork() without Python being told, while another thread was inside "
    "Python, which may hold locks of Python's that only that thread would unlock. Fork with pyattach_fork() or "
    "os.fork(), "
    "or before other threads use Python; or leave Python alone in the child, and end it with _exit() or exec().";
constexpr const char *may_be_inside =
    "attaching is refused: this process was made by fork() without Python being told, and Python knew other threads "
    "that "
    "this library did not attach (its own, or of other libraries), which may hold locks of Python's. Fork with "
    "pyattach_fork() or os.fork(), or before other threads use Python; or leave Python alone in the child, and end it "
    "with _exit() or exec().";
constexpr const char *several_interpreters =
    "attaching is refused: this process was made by fork() while there were sub-interpreters, which CPython does not "
    "survive in a fork child. Fork before they begin, or leave Python alone in the child, and end it with _exit() or "
    "exec().";

// Of this thread's, or kept by a thread that was outside.
bool is_known_tstate(const thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    if (tstate == py.gilstate_tstate() || (py.current_is_own && tstate == py.current()))
        return true;
    const thread *me = this_thread.record();
    for (const frame *open = me ? me->top : nullptr; open && open->tag != tag::base; open = open->below)
        if (open->tstate == tstate)
            return true;
    for (interp_data *data = newest_data(); data; data = data->next)
        if (!data->interp->is_cleared() && data->interp->gate.has_warm(tstate))
            return true;
    return false;
}

const participant *own_participant(const interpreter &interp) noexcept {
    const thread *me = this_thread.record();
    const participant *self = me ? me->participants : nullptr;
    while (self && self->interp != &interp)
        self = self->next_of_thread;
    return self;
}

} // namespace

// A thread announces itself in its participant before it attaches, and says outside after it has detached. The child
// sees what each thread wrote up to some moment and nothing after it, as internal_lock.hpp says: so a thread whose
// participant says outside held no lock of Python's, the GIL included. Of states that this library did not make nothing
// is known.
const char *find_company(bool is_something_lost) noexcept {
    const cpython::table &py = cpython::python();
    if (is_something_lost)
        return was_inside;
    for (interp_data *data = newest_data(); data; data = data->next) {
        interpreter &interp = *data->interp;
        if (interp.is_cleared())
            continue;
        if (interp.gate.now() != gate::open || !interp.gate.is_empty_but_for(own_participant(interp)))
            return was_inside;
    }
    if (cpython::has_sub_interpreters())
        return several_interpreters;
    // Up to 3.11 the current state is that of whichever thread holds the GIL.
    const thread_state *holder = py.current_is_own ? nullptr : py.current();
    return (holder && !is_own_tstate(py.current())) || !cpython::all_tstates(is_known_tstate) ? may_be_inside : nullptr;
}

} // namespace pyattach
