// The end of an interpreter.
#include "lifecycle/exit.hpp"

#include <algorithm>
#include <cstdio>

#include "base/diagnostics.hpp"
#include "core/hold.hpp"
#include "core/housekeeping.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "core/thread_report.hpp"
#include "core/trace.hpp"
#include "cpython/exception.hpp"
#include "cpython/finalize.hpp"
#include "cpython/guarded.hpp"
#include "cpython/interp_dict.hpp"
#include "lifecycle/exit_callback.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/sleepers.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "platform/clock.hpp"
#include "trace/dump.hpp"
#include "tstate/reaper.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

constexpr int64_t second_ns = 1000000000;
// How long an exit waits for threads that are detached inside. Most of them are blocked in a system call that no other
// thread will end. One second is enough for those that are about to return.
constexpr int64_t detached_limit_ns = second_ns;
// While the exit waits, it runs signal handlers this often.
constexpr int64_t signal_interval_ns = second_ns / 10;

std::atomic<long long> exit_timeout_ns{10 * second_ns};
std::atomic<const interpreter *> suppressed{nullptr};

// To the trace: what the gate is now, and for whom the end waits.
void note_gate(const interpreter &interp) noexcept { trace::gate_becomes(&interp, interp.gate.now()); }

void note_threads_inside(interpreter &interp, const participant *except) noexcept {
    if (!trace::is_on())
        return;
    inside_thread threads[16];
    const unsigned inside = interp.gate.list_inside(except, threads, 16);
    for (unsigned i = 0; i < inside; ++i)
        trace::note(trace::kind::exit_waits, 0, trace::word_of(&interp), static_cast<uint64_t>(threads[i].id));
}

} // namespace

void set_exit_timeout(long long timeout_ns) noexcept {
    exit_timeout_ns.store(timeout_ns < 0 ? -1 : timeout_ns, std::memory_order_relaxed);
}
long long exit_timeout() noexcept { return exit_timeout_ns.load(std::memory_order_relaxed); }

void report_threads_inside(interpreter &interp, const char *problem, report_text &text) noexcept {
    constexpr unsigned most = 8;
    inside_thread threads[most];
    const unsigned inside = interp.gate.list_inside(find_participant(this_thread.record(), interp), threads, most);
    int length = std::snprintf(text, sizeof text, "%s %s", problem, inside ? "Inside:" : "None is inside.");
    for (unsigned i = 0; i < inside && length < static_cast<int>(sizeof text); ++i) {
        char name[32];
        name_of(threads[i].id, name);
        length +=
            std::snprintf(text + length, sizeof text - static_cast<size_t>(length), "%s %d (%s)%s%s", i ? "," : "",
                          static_cast<int>(threads[i].id), name, threads[i].label[0] ? ": " : "", threads[i].label);
    }
    report("%s", text);
}

void suppress_exit_hook(const interpreter *interp) noexcept { suppressed.store(interp, std::memory_order_relaxed); }

ending::ending(interpreter &interp) noexcept
    : python(interp), interp_(interp), own_(find_participant(this_thread.record(), interp)),
      earlier_ns_(cpython::timed_out_since(interp.state)) {
    report_[0] = '\0';
}

void ending::close() noexcept {
    if (interp_.gate.now() != gate::open)
        return;
    interp_.finalizing_thread.store(&this_thread, std::memory_order_relaxed);
    interp_.gate.hold_open();
    if (!await_holds(interp_, 0, true))
        interp_.gate.close();
    note_gate(interp_);
    run_exit_callbacks(interp_);
}

// False: a handler raised an exception. To run them the finalizing thread has to attach, and an attach waits without a
// limit for a thread inside that keeps Python. So a probe tests first whether an attach would succeed in time. Without
// a limit no probe is needed.
bool ending::run_signal_handlers(thread_state *tstate, int64_t end_ns) noexcept {
    could_attach_ = end_ns == INT64_MAX || python.can_attach(std::min(monotonic_ns() + signal_interval_ns, end_ns));
    if (!could_attach_)
        return true;
    cpython::restore(tstate);
    const bool have_returned = cpython::check_signals_quietly();
    cpython::save();
    return have_returned;
}

void ending::report_long_wait() noexcept {
    if (has_reported_wait_ || monotonic_ns() - began_ns_ < second_ns)
        return;
    has_reported_wait_ = true;
    report_threads_to_handler(
        "The interpreter's end has waited for a second, and waits on, to its limit. Threads leave "
        "their attached scopes, and end their holds, to let it go on. What each thread does:");
}

// False: a handler raised an exception.
bool ending::wait_for_holds(thread_state *tstate, int64_t end_ns) noexcept {
    const int64_t end_of_tickets_ns = std::min(end_ns, monotonic_ns() + detached_limit_ns);
    for (;;) {
        const int64_t now_ns = monotonic_ns();
        const bool with_tickets = now_ns < end_of_tickets_ns;
        holds_left_ = await_holds(
            interp_, std::min(now_ns + signal_interval_ns, with_tickets ? end_of_tickets_ns : end_ns), with_tickets);
        if (!holds_left_ || (!with_tickets && monotonic_ns() >= end_ns))
            return true;
        report_long_wait();
        if (!run_signal_handlers(tstate, end_ns))
            return false;
    }
}

// Returns how many threads are inside when it gives up.
unsigned ending::wait_for_threads(thread_state *tstate, int64_t end_ns) noexcept {
    // Up to 3.13 the end of a sub-interpreter aborts the process if a tstate remains. So there the detached threads are
    // waited for until the full limit, too.
    const cpython::table &py = cpython::python();
    const bool may_leave_tstates = py.sub_interpreters_keep_tstates || interp_.state == py.main_interpreter();
    const int64_t end_of_detached_ns =
        may_leave_tstates ? std::min(end_ns, monotonic_ns() + detached_limit_ns) : end_ns;
    bool attached_only = false;
    sleepers asleep(interp_, own_);
    for (;;) {
        const int64_t slice_ns =
            std::min(monotonic_ns() + signal_interval_ns, attached_only ? end_ns : end_of_detached_ns);
        unsigned inside = interp_.gate.wait(own_, attached_only, slice_ns);
        const int64_t now_ns = monotonic_ns();
        if (inside && !attached_only && now_ns >= end_of_detached_ns) {
            // From now on the gate refuses threads that were detached inside, and only the others are waited for.
            interp_.gate.seal();
            attached_only = true;
            inside = interp_.gate.wait(own_, attached_only, 0);
        }
        // A handler that raises, as that of Ctrl-C does, ends the wait.
        if (!inside || now_ns >= end_ns || !run_signal_handlers(tstate, end_ns))
            return inside;
        report_long_wait();
        const unsigned slept = may_leave_tstates ? asleep.sample(could_attach_, python) : 0;
        if (slept && attached_only) {
            sleepers_ = slept;
            return 0;
        }
    }
}

void ending::report_sleepers() noexcept {
    char problem[200];
    report_text text;
    std::snprintf(
        problem, sizeof problem,
        "The interpreter ends: %u native thread%s inside, in a call that has detached the thread, for a second, "
        "and %s left to Python.",
        sleepers_, sleepers_ == 1 ? " has slept" : "s have slept", sleepers_ == 1 ? "is" : "are");
    report_threads_inside(interp_, problem, text);
}

void ending::report_time_out() noexcept {
    char threads[60] = "", holds[250] = "", problem[400];
    if (left)
        std::snprintf(threads, sizeof threads, "%u native thread%s still inside", left, left == 1 ? " is" : "s are");
    if (holds_left_) {
        char labels[200];
        list_holds(interp_, labels, sizeof labels);
        std::snprintf(holds, sizeof holds, "%u hold%s left (%s)", holds_left_, holds_left_ == 1 ? " is" : "s are",
                      labels);
    }
    std::snprintf(problem, sizeof problem, "The interpreter's end has waited to its limit; %s%s%s.", threads,
                  left && holds_left_ ? ", and " : "", holds);
    report_threads_inside(interp_, problem, report_);
}

void ending::wait(thread_state *tstate) noexcept {
    count(event::exit_waits);
    const long long limit_ns = exit_timeout();
    const int64_t begin_ns = began_ns_ = monotonic_ns();
    int64_t end_ns = limit_ns < 0 || limit_ns > INT64_MAX - begin_ns ? INT64_MAX : begin_ns + limit_ns;
    // The limits of all copies of this library begin together. But the threads of this copy have at least one second,
    // because their exit callbacks have been called only now.
    if (earlier_ns_ && end_ns != INT64_MAX)
        end_ns = std::min(end_ns, std::max<int64_t>(earlier_ns_ + limit_ns, begin_ns + second_ns));
    const bool is_undisturbed = wait_for_holds(tstate, end_ns);
    interp_.gate.close();
    note_gate(interp_);
    note_threads_inside(interp_, own_);
    const bool are_inside = !is_undisturbed || wait_for_threads(tstate, end_ns);
    interp_.gate.seal();
    note_gate(interp_);
    left = are_inside ? interp_.gate.count_attached(own_) : 0;
    if (sleepers_)
        report_sleepers();
    if (has_timed_out()) {
        report_time_out();
        count(event::exit_timeouts);
        if (trace::is_on())
            trace::note(trace::kind::exit_timed_out, 0, trace::word_of(&interp_), left);
        trace::dump();
    }
    interp_.timed_out.store(has_timed_out(), std::memory_order_relaxed);
    // The housekeeper is not inside any more, unless a destructor that it runs has kept it there.
    if (interp_.state == cpython::python().main_interpreter() && !housekeeping::stop(second_ns))
        housekeeping::abandon();
}

void ending::finish(thread_state *tstate) noexcept {
    python.await_helpers(tstate);
    if (has_timed_out() && !earlier_ns_)
        cpython::note_time_out(interp_.state, began_ns_);
    if (has_timed_out())
        cpython::warn(report_);
    // Destructors may give back more references, which the second and later rounds release.
    for (int round = 0; round < 100 && !interp_.pool.is_empty(); ++round)
        drain(interp_, interp_.pool.size());
    reap_all(interp_);
    // After a time-out a thread inside may be reading the dict, so the reference is not given back then.
    object *threading_active = interp_.data->threading_active.exchange(nullptr, std::memory_order_acq_rel);
    if (!left)
        cpython::decref(threading_active);
    interp_.gate.end();
    note_gate(interp_);
    count(event::drops_leaked, interp_.pool.close());
    warm_state::forget_orphaned(interp_);
}

void close_interpreter(void *record) noexcept {
    interpreter &interp = *static_cast<interpreter *>(record);
    // The gate is not open if the user calls the hook a second time, or if stop() has done all this.
    if (interp.gate.now() != gate::open || suppressed.load(std::memory_order_relaxed) == &interp)
        return;
    // Where the hook is registered twice, it is called again when the older callbacks are.
    if (interp.is_hook_running.exchange(true, std::memory_order_relaxed))
        return;
    no_stop_scope no_stop;
    if (interp.state == cpython::python().main_interpreter())
        finalizing::begin_by_host();
    // While the gate is open: they may wait for native threads that need Python.
    cpython::run_older_exit_functions(interp.state);
    ending steps(interp);
    thread_state *tstate = cpython::save();
    steps.close();
    steps.wait(tstate);
    cpython::restore(tstate);
    steps.finish(tstate);
}

} // namespace pyattach
