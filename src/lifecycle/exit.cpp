// How an interpreter ends.
#include "lifecycle/exit.hpp"

#include <algorithm>
#include <cstdio>

#include "base/diagnostics.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/interp_dict.hpp"
#include "lifecycle/exit_callback.hpp"
#include "lifecycle/finalizing.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "platform/clock.hpp"
#include "tstate/reaper.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

constexpr int64_t second_ns = 1000000000;
// Threads that are detached inside are fast_bit blocked in a system call that no other thread will end; a second is for
// those about to return.
constexpr int64_t detached_limit_ns = second_ns;
// How long a signal may go unnoticed while the exit waits.
constexpr int64_t signal_interval_ns = second_ns / 10;

std::atomic<long long> exit_timeout_ns{10 * second_ns};
std::atomic<const interpreter *> deferred{nullptr};

participant *own_participant(const interpreter &interp) noexcept {
    if (const thread *me = this_thread.record())
        for (participant *taken = me->participants; taken; taken = taken->next_of_thread)
            if (taken->interp == &interp)
                return taken;
    return nullptr;
}

} // namespace

void set_exit_timeout(long long timeout_ns) noexcept {
    exit_timeout_ns.store(timeout_ns < 0 ? -1 : timeout_ns, std::memory_order_relaxed);
}
long long exit_timeout() noexcept { return exit_timeout_ns.load(std::memory_order_relaxed); }

void tell_who_is_inside(interpreter &interp, const char *what, char (&told)[512]) noexcept {
    constexpr unsigned most = 8;
    pid_t ids[most];
    const unsigned pool_entry = interp.gate.list_inside(own_participant(interp), ids, most);
    int length = std::snprintf(told, sizeof told, "%s %s", what, pool_entry ? "Inside:" : "None is inside.");
    for (unsigned i = 0; i < pool_entry && length < static_cast<int>(sizeof told); ++i) {
        char name[32];
        name_of(ids[i], name);
        length += std::snprintf(told + length, sizeof told - static_cast<size_t>(length), "%s %d (%s)", i ? "," : "",
                                static_cast<int>(ids[i]), name);
    }
    report("%s", told);
}

void defer_end(const interpreter *interp) noexcept { deferred.store(interp, std::memory_order_relaxed); }

ending::ending(interpreter &interp) noexcept
    : python(interp), where_(interp), own_(own_participant(interp)), earlier_(cpython::timed_out_since(interp.state)) {
    told_[0] = '\0';
}

void ending::close() noexcept {
    if (where_.gate.now() != gate::open)
        return;
    where_.finalizing_thread.store(&this_thread, std::memory_order_relaxed);
    where_.gate.close();
    run_exit_callbacks(where_);
}

// Attaching waits without a limit, and here a thread may be inside that keeps Python: so it is found out first whether
// it can be had. Without a limit there is nothing to be late for.
void ending::look_for_signals(thread_state *tstate, int64_t end, bool &may_go_on) noexcept {
    if (end != INT64_MAX && !python.can_attach(std::min(monotonic_ns() + signal_interval_ns, end)))
        return;
    cpython::restore(tstate);
    may_go_on = cpython::check_signals_quietly();
    cpython::save();
}

void ending::wait(thread_state *tstate) noexcept {
    count(event::exit_waits);
    const long long limit = exit_timeout();
    const int64_t begin = began_ = monotonic_ns();
    int64_t end = limit < 0 || limit > INT64_MAX - begin ? INT64_MAX : begin + limit;
    // The limits of the copies run together, but threads that were told only now get a second.
    if (earlier_ && end != INT64_MAX)
        end = std::min(end, std::max<int64_t>(earlier_ + limit, begin + second_ns));
    // Up to 3.13 a sub-interpreter aborts when a state is left at its end, so there everybody is waited for to the
    // last.
    const cpython::table &py = cpython::python();
    const bool may_leave_tstates = py.sub_interpreters_keep_tstates || where_.state == py.main_interpreter();
    const int64_t end_of_detached = may_leave_tstates ? std::min(end, begin + detached_limit_ns) : end;
    bool attached_only = false;
    for (;;) {
        const int64_t slice = std::min(monotonic_ns() + signal_interval_ns, attached_only ? end : end_of_detached);
        unsigned inside = where_.gate.wait(own_, attached_only, slice);
        const int64_t now_ns = monotonic_ns();
        if (inside && !attached_only && now_ns >= end_of_detached) {
            // From now on who was detached is refused when it comes back (sealed), and only the others are waited for.
            where_.gate.seal();
            attached_only = true;
            inside = where_.gate.wait(own_, attached_only, 0);
        }
        // A handler that raises, as Ctrl-C does, ends the wait.
        bool may_go_on = true;
        if (inside && now_ns < end)
            look_for_signals(tstate, end, may_go_on);
        if (!inside || now_ns >= end || !may_go_on)
            break;
    }
    where_.gate.seal();
    left = where_.gate.wait(own_, true, 0);
    if (left) {
        char what[100];
        std::snprintf(what, sizeof what,
                      "The interpreter's end has waited to its limit; %u native thread%s still inside.", left,
                      left == 1 ? " is" : "s are");
        tell_who_is_inside(where_, what, told_);
        count(event::exit_timeouts);
    }
    where_.timed_out.store(left != 0, std::memory_order_relaxed);
}

void ending::finish() noexcept {
    if (left && !earlier_)
        cpython::note_time_out(where_.state, began_);
    if (left)
        cpython::warn(told_);
    // Destructors may give more back; the second and later rounds release that.
    for (int round = 0; round < 100 && !where_.pool.is_empty(); ++round)
        drain(where_, where_.pool.size());
    reap_all(where_);
    // After a time-out a thread may be looking into it; then it is left to that one.
    object *threading_active = where_.data->threading_active.exchange(nullptr, std::memory_order_acq_rel);
    if (!left)
        cpython::decref(threading_active);
    where_.gate.end();
    count(event::drops_leaked, where_.pool.close());
    warm_state::forget_orphaned(where_);
}

void close_interpreter(void *record) noexcept {
    interpreter &interp = *static_cast<interpreter *>(record);
    // Closed: run by hand a second time, or done by stop().
    if (interp.gate.now() != gate::open || deferred.load(std::memory_order_relaxed) == &interp)
        return;
    busy in_foreign_code;
    if (interp.state == cpython::python().main_interpreter())
        finalizing::begin_by_host();
    ending end(interp);
    thread_state *tstate = cpython::save();
    end.close();
    end.wait(tstate);
    cpython::restore(tstate);
    if (end.python.is_waiting()) {
        // A thread that waits for Python for our sake must not meet the end of it.
        cpython::save();
        end.python.await_last();
        cpython::restore(tstate);
    }
    end.finish();
}

} // namespace pyattach
