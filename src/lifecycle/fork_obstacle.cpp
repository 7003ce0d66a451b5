// Fork obstacle: what prevents the use of Python in the child of a raw fork().
#include "lifecycle/fork_obstacle.hpp"

#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "core/interpreter.hpp"
#include "cpython/fork.hpp"

namespace pyattach {
namespace {

constexpr const char *was_inside =
    "attaching is refused: this process was made by fork() without Python being told, while another thread was inside "
    "Python, which may hold locks of Python's that only that thread would unlock. Fork with pyattach_fork() or "
    "os.fork(), or before other threads use Python; or leave Python alone in the child, and end it with _exit() or "
    "exec().";
constexpr const char *may_be_inside =
    "attaching is refused: this process was made by fork() without Python being told, and Python knew other threads "
    "that this library did not attach (its own, or of other libraries), which may hold locks of Python's. Fork with "
    "pyattach_fork() or os.fork(), or before other threads use Python; or leave Python alone in the child, and end it "
    "with _exit() or exec().";
constexpr const char *several_interpreters =
    "attaching is refused: this process was made by fork() while there were sub-interpreters, which CPython does not "
    "survive in a fork child. Fork before they begin, or leave Python alone in the child, and end it with _exit() or "
    "exec().";

// If the forking thread held the GIL, and the housekeeper had not attached, it was at most waiting for the GIL, and
// held nothing of Python's. Its native id then; else 0. (A fork without the GIL waits until there is no housekeeper.)
pid_t waiting_housekeeper() noexcept {
    const bool is_waiting = !housekeeping::is_at_work.load(std::memory_order_relaxed);
    return is_waiting && !cpython::python().free_threaded && current_tstate() ? housekeeping::native_id() : 0;
}

// Whether the tstate is one of the surviving thread, or of the waiting housekeeper, or the warm one of a thread that
// was outside.
bool is_known_tstate(const thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    if (tstate == py.gilstate_tstate() || (py.current_is_own && tstate == py.current()))
        return true;
    const thread *me = this_thread.record();
    for (const frame *open = me ? me->top : nullptr; open && open->tag != tag::base; open = open->below)
        if (open->tstate == tstate)
            return true;
    for (interp_data *data = newest_data(); data; data = data->next)
        if (!data->interp->is_cleared() && data->interp->gate.has_tstate(tstate, waiting_housekeeper()))
            return true;
    return false;
}

} // namespace

// A thread stores its presence in its participant before it attaches, and stores `outside` after it has detached. The
// child sees each thread's writes up to some moment and none after it (internal_lock.hpp). So a thread whose
// participant contains `outside` held no lock of Python, not even the GIL. Nothing is known of tstates that other code
// made.
const char *find_fork_obstacle(bool is_something_lost) noexcept {
    const cpython::table &py = cpython::python();
    if (is_something_lost)
        return was_inside;
    for (interp_data *data = newest_data(); data; data = data->next) {
        interpreter &interp = *data->interp;
        if (interp.is_cleared())
            continue;
        if (interp.gate.now() != gate::open ||
            !interp.gate.is_empty_but_for(find_participant(this_thread.record(), interp), waiting_housekeeper()))
            return was_inside;
    }
    if (cpython::has_sub_interpreters())
        return several_interpreters;
    // Up to 3.11 the current tstate is that of the thread that holds the GIL.
    const thread_state *holder = py.current_is_own ? nullptr : py.current();
    return (holder && !is_own_tstate(py.current())) || !cpython::all_tstates(is_known_tstate) ? may_be_inside : nullptr;
}

} // namespace pyattach
