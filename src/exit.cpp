// How an interpreter ends.
#include "exit.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "exit_callback.hpp"
#include "fatal.hpp"
#include "fork.hpp"
#include "interpreter.hpp"
#include "reaping.hpp"
#include "thread.hpp"
#include "warm_state.hpp"

namespace pyattach {
namespace {

constexpr int64_t second_ns = 1000000000;
// Threads that are detached inside are usually blocked in a system call nobody will end; a second is for those about to
// return.
constexpr int64_t detached_limit_ns = second_ns;
// How long a signal may go unnoticed while the exit waits.
constexpr int64_t signal_interval_ns = second_ns / 10;

std::atomic<long long> exit_timeout_ns{10 * second_ns};

void tell_who_is_inside(interpreter &ending, const seat *mine, unsigned inside) noexcept {
    constexpr unsigned most = 8;
    pid_t ids[most];
    unsigned listed = ending.gate.who(mine, ids, most);
    char text[512];
    int length =
        std::snprintf(text, sizeof text, "the interpreter ends although %u native thread%s still inside:", inside,
                      inside == 1 ? " is" : "s are");
    for (unsigned i = 0; i < listed && length < static_cast<int>(sizeof text); ++i) {
        char name[32];
        name_of(ids[i], name);
        length += std::snprintf(text + length, sizeof text - static_cast<size_t>(length), "%s %d (%s)", i ? "," : "",
                                static_cast<int>(ids[i]), name);
    }
    report("%s", text);
    cpython::warn(text);
}

// Detached; comes back attached. True: everybody left who should. `earlier`: another copy of this library has timed out
// here since; the limits run together, but threads that were told only now get a second.
bool wait_for_threads(interpreter &ending, const seat *mine, thread_state *&state, int64_t earlier) noexcept {
    const long long limit = exit_timeout_ns.load(std::memory_order_relaxed);
    const int64_t begin = monotonic_ns();
    int64_t end = limit < 0 || limit > INT64_MAX - begin ? INT64_MAX : begin + limit;
    if (earlier && end != INT64_MAX)
        end = std::min(end, std::max<int64_t>(earlier + limit, begin + second_ns));
    // Up to 3.13 a sub-interpreter aborts when a state is left at its end, so there everybody is waited for to the
    // last.
    const cpython::table &py = cpython::python();
    const bool may_leave_states = py.sub_interpreters_keep_states || ending.state == py.main_interpreter();
    const int64_t end_of_detached = may_leave_states ? std::min(end, begin + detached_limit_ns) : end;
    bool attached_only = false;
    for (;;) {
        int64_t slice = std::min(monotonic_ns() + signal_interval_ns, attached_only ? end : end_of_detached);
        unsigned inside = ending.gate.wait(mine, attached_only, slice);
        int64_t now = monotonic_ns();
        if (inside && !attached_only && now >= end_of_detached) {
            // From now on who was detached is refused when it comes back (sealed), and only the others are waited for.
            ending.gate.set(gate::sealed);
            attached_only = true;
            inside = ending.gate.wait(mine, attached_only, 0);
        }
        bool is_over = inside == 0 || now >= end;
        // A handler that raises, as Ctrl-C does, ends the wait.
        cpython::restore(state);
        if (is_over || !cpython::signals_are_quiet()) {
            ending.gate.set(gate::sealed);
            unsigned left = ending.gate.wait(mine, true, 0);
            if (left)
                tell_who_is_inside(ending, mine, left);
            if (left && !earlier)
                cpython::note_time_out(ending.state, begin);
            return left == 0;
        }
        state = cpython::save();
    }
}

seat *own_seat(const interpreter &where) noexcept {
    if (const thread *me = this_thread.record())
        for (seat *one = me->seats; one; one = one->next_of_thread)
            if (one->where == &where)
                return one;
    return nullptr;
}

} // namespace

void set_exit_timeout(long long timeout_ns) noexcept {
    exit_timeout_ns.store(timeout_ns < 0 ? -1 : timeout_ns, std::memory_order_relaxed);
}

void close_interpreter(void *record) noexcept {
    interpreter &ending = *static_cast<interpreter *>(record);
    if (ending.gate.now() != gate::open)
        return; // run by hand a second time
    ending.ending_thread.store(&this_thread, std::memory_order_relaxed);
    ending.gate.set(gate::closed);
    // This thread is not waited for: it may be ending the interpreter inside an attached scope of its own.
    const seat *mine = own_seat(ending);

    const int64_t earlier = cpython::timed_out_since(ending.state);
    thread_state *state = cpython::save();
    run_exit_callbacks(ending);
    count(event::exit_waits);
    if (!wait_for_threads(ending, mine, state, earlier)) {
        count(event::exit_timeouts);
        ending.timed_out.store(true, std::memory_order_relaxed);
    }
    // Destructors may give more back; the second and later rounds release that.
    for (int round = 0; round < 100 && !ending.pool.is_empty(); ++round)
        drain(ending, ending.pool.size());
    reap_all(ending);
    // After a time-out somebody may be looking into it; then it is left to them.
    object *stand_ins = ending.rooms->stand_ins.exchange(nullptr, std::memory_order_acq_rel);
    if (!ending.timed_out.load(std::memory_order_relaxed))
        cpython::decref(stand_ins);
    ending.gate.set(gate::dead);
    count(event::drops_leaked, ending.pool.close());
    warm_state::forget_dead(ending);
}

status stop() noexcept {
    if (this_thread.forbidden)
        return PYATTACH_FORBIDDEN;
    if (is_raw_fork()) {
        static refusal_site site;
        return refused(
            PYATTACH_UNSUPPORTED, site,
            "pyattach_interpreter_stop is refused: this process was made by fork() without Python being "
            "told, and the Python that would end is the parent's. Leave with _exit() or exec(), or put Python "
            "in order with pyattach_forked() first.");
    }
    if (status missing = cpython::find())
        return missing;
    const cpython::table &py = cpython::python();
    if (!py.is_initialized())
        return PYATTACH_NOT_INITIALIZED;
    thread *me = own_record();
    if (!me)
        return PYATTACH_NO_MEMORY;
    for (const frame *one = me->top; one->tag != tag::base; one = one->below)
        if (one->tag == tag::detached)
            return PYATTACH_INVALID;
    // CPython's rule: free-threaded 3.13 crashes when another thread than the one that initialised finalises. Its state
    // is the first one.
    thread_state *now = current_state();
    thread_state *state = now ? now : py.slot();
    if (!state || py.interpreter_of(state) != py.main_interpreter() || py.state_id(state) != 1)
        return PYATTACH_INVALID;
    if (!now)
        cpython::restore(state);
    interpreter *ending = meet(*me, state);
    // Ending runs Python code, which must not find an exception set.
    if (py.error_occurred())
        cpython::report_unraisable();
    int outcome = cpython::guarded([&py] { return py.finalize(); });
    // What was open on this thread has nothing to go back to.
    for (frame *one = me->top; one->tag != tag::base; one = one->below)
        one->dead = true;
    for (seat *one = me->seats; one; one = one->next_of_thread)
        one->inside.store(presence::outside, std::memory_order_release);
    if (ending && ending->timed_out.load(std::memory_order_relaxed))
        return PYATTACH_TIMED_OUT;
    return outcome < 0 ? PYATTACH_PYTHON_ERROR : PYATTACH_OK;
}

} // namespace pyattach
