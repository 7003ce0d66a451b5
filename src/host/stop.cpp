// Stop: Py_FinalizeEx with a status and a time limit.
//
// Py_FinalizeEx cannot be interrupted once it has begun. So each step that may wait for a native thread is done before
// it:
//
//   1. attach, if the caller is not attached;
//   2. call threading._shutdown() and the atexit callbacks, as Py_FinalizeEx does, which later finds them done. The
//      atexit callback of this library does nothing here, because a wait inside it could not be given up;
//   3. detach, close the gate, run the exit callbacks, and wait for the threads inside;
//   4. attach again, and release the references in the pool;
//   5. call Py_FinalizeEx.
//
// Attaching (1 and 4) has no time limit of its own, so a probe attaches first (probe.hpp). If a thread keeps Python in
// native code, Python has not ended, and stop() can be called again. After step 3 the gate stays closed.
#include "host/stop.hpp"

#include <algorithm>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/frames.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/exception.hpp"
#include "cpython/finalize.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/exit.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/registration.hpp"
#include "platform/clock.hpp"

namespace pyattach {
namespace {

// The time within which an attach succeeds unless native code keeps Python: Python code gives other threads a turn
// every few milliseconds, however many of them wait.
constexpr int64_t grace_ns = 1000000000;

void report_kept(interpreter &interp, const char *problem) noexcept {
    report_text message;
    report_threads_inside(interp, problem, message);
}

status refuse_wrong_thread() noexcept {
    static refusal_site wrong_thread;
    const pid_t main = main_thread_id.load(std::memory_order_relaxed);
    constexpr const char *rule = "CPython lets only its main thread end it, which is the one that started it";
    if (!main)
        return refused_with(
            PYATTACH_INVALID, wrong_thread,
            "pyattach_interpreter_stop: called on another thread than Python's main thread. %s. Call it "
            "there.",
            rule);
    if (has_ended(main))
        return refused_with(
            PYATTACH_INVALID, wrong_thread,
            "pyattach_interpreter_stop: the thread that started Python (%d) has ended. %s. Start Python "
            "on a thread that stays, and stop it there; this Python can only be left running until the "
            "process ends.",
            static_cast<int>(main), rule);
    char name[32];
    name_of(main, name);
    return refused_with(PYATTACH_INVALID, wrong_thread,
                        "pyattach_interpreter_stop: called on another thread than Python's main thread, %d (%s). %s. "
                        "Call it there.",
                        static_cast<int>(main), name, rule);
}

status refuse_inside_end() noexcept {
    static refusal_site inside_end;
    return refused(
        PYATTACH_INVALID, inside_end,
        "pyattach_interpreter_stop: called by code that runs because Python is ending: an exit callback, an "
        "atexit callback or a destructor. Python is ended once, from outside. Return, and let the end that is "
        "under way go on.");
}

// What can be checked before attaching. `tstate`: the thread's current one or NULL; set to the one to stop with.
status check_thread(thread &me, thread_state *&tstate) noexcept {
    static refusal_site detached_scope, inside_call;
    for (const frame &scope : open_frames(me))
        if (scope.tag == tag::detached)
            return refused(PYATTACH_INVALID, detached_scope,
                           "pyattach_interpreter_stop: called inside a detached scope. The code around that scope "
                           "expects Python back. End the scope first.");
    // CPython's rule: only the thread that initialized Python finalizes it. Free-threaded 3.13 crashes otherwise. That
    // thread's tstate is the first one, whose id is 1.
    const cpython::table &py = cpython::python();
    if (!tstate)
        tstate = py.gilstate_tstate();
    if (!tstate || py.interp_of(tstate) != py.main_interpreter() || py.tstate_id(tstate) != 1)
        return refuse_wrong_thread();
    if (this_thread.stop_disabled && finalizing::is_own())
        return refuse_inside_end();
    if (this_thread.stop_disabled)
        return refused(
            PYATTACH_INVALID, inside_call,
            "pyattach_interpreter_stop: called by a destructor or a callback that runs inside a call of this "
            "library: a drain of the pool, a registration, the end of a sub-interpreter. That call goes on "
            "afterwards, and needs Python. Stop it after the call has returned.");
    return PYATTACH_OK;
}

// The rest of the checks, on an attached thread.
status check_callers(const interpreter *interp) noexcept {
    static refusal_site below_python;
    // The checks run Python code, which must not run with an exception set. A refusal leaves the exception as it was.
    cpython::kept_error kept;
    // An earlier stop timed out: its gate is sealed, and it has joined Python's own threads.
    const bool is_resumed = interp && interp->gate.now() != gate::open && !interp->gate.is_ended();
    if (!is_resumed && cpython::is_exit_under_way())
        return refuse_inside_end();
    if (cpython::is_below_python())
        return refused(PYATTACH_INVALID, below_python,
                       "pyattach_interpreter_stop: called by a Python function. That function would go on in a Python "
                       "that has ended. Return to native code first, and call it there; a script ends by sys.exit().");
    return PYATTACH_OK;
}

// The scopes that were open on this thread have no interpreter to return to.
void make_scopes_inert(thread &me) noexcept {
    for (frame &scope : open_frames(me))
        scope.inert = true;
    for (participant &self : participants_of(me))
        self.presence_now.store(presence::outside, std::memory_order_release);
}

status finalize(thread &me, bool has_timed_out) noexcept {
    const int outcome = cpython::guarded([] { return cpython::python().finalize(); });
    make_scopes_inert(me);
    if (has_timed_out)
        return PYATTACH_TIMED_OUT;
    return outcome < 0 ? PYATTACH_PYTHON_ERROR : PYATTACH_OK;
}

// Steps 2 to 5, on a thread that is attached with `tstate`.
status stop_attached(thread &me, thread_state *tstate, interpreter *interp) noexcept {
    // The end runs Python code, which must not run with an exception set.
    if (cpython::python().error_occurred())
        cpython::report_unraisable();
    // If the `atexit` module is not as this library knows it, or if the interpreter was never registered, Py_FinalizeEx
    // does everything.
    suppress_exit_hook(interp);
    const bool have_run = interp && !interp->gate.is_ended() && cpython::run_exit_functions();
    suppress_exit_hook(nullptr);
    if (!have_run) {
        if (interp)
            probe(*interp).await_helpers(tstate);
        const status outcome = finalize(me, false);
        return interp && interp->timed_out.load(std::memory_order_relaxed) ? PYATTACH_TIMED_OUT : outcome;
    }
    ending steps(*interp);
    cpython::save();
    steps.close();
    steps.wait(tstate);
    if (exit_timeout() >= 0 && !steps.python.can_stop_others(monotonic_ns() + grace_ns)) {
        report_kept(*interp, "pyattach_interpreter_stop: Python has not ended: a thread keeps it in native code.");
        make_scopes_inert(me);
        return PYATTACH_TIMED_OUT;
    }
    cpython::restore(tstate);
    steps.finish(tstate);
    return finalize(me, steps.has_timed_out());
}

// Step 1. False: not within the time limit.
bool attach_to_stop(thread_state *tstate, interpreter *interp) noexcept {
    const long long limit = exit_timeout();
    if (interp && limit >= 0) {
        probe python(*interp);
        const int64_t now_ns = monotonic_ns();
        const int64_t wait = std::max<int64_t>(limit, grace_ns);
        if (!python.can_attach(wait > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait)) {
            report_kept(*interp, "pyattach_interpreter_stop: Python has not begun to end: a thread keeps it in native "
                                 "code.");
            return false;
        }
    }
    cpython::restore(tstate);
    return true;
}

} // namespace

status stop() noexcept {
    static refusal_site raw_fork, not_running;
    if (this_thread.forbidden)
        return refuse_forbidden();
    if (is_python_out_of_order())
        return refused(
            PYATTACH_UNSUPPORTED, raw_fork,
            "pyattach_interpreter_stop is refused: this process was made by fork() without Python being told, and the "
            "Python that would end is the parent's. Leave with _exit() or exec(), or put Python in order with "
            "pyattach_forked() first.");
    if (status missing = cpython::find())
        return missing;
    const cpython::table &py = cpython::python();
    if (!py.is_initialized())
        return refused(
            PYATTACH_NOT_INITIALIZED, not_running,
            "pyattach_interpreter_stop: Python does not run, or its end is under way. Only a Python that runs "
            "can be ended. Call it once after each start.");
    thread *me = own_record();
    if (!me)
        return PYATTACH_NO_MEMORY;
    thread_state *const before = current_tstate();
    thread_state *tstate = before;
    if (status refused = check_thread(*me, tstate))
        return refused;
    interpreter *const registered = main_interpreter();
    if (!before && !attach_to_stop(tstate, registered ? registered : find_or_make_interpreter(py.main_interpreter())))
        return PYATTACH_TIMED_OUT;
    interpreter *interp = lookup_or_register(*me, tstate);
    if (status refused = check_callers(interp)) {
        if (!before)
            cpython::save();
        return refused;
    }
    no_stop_scope no_stop;
    finalizing::begin_stop();
    const status outcome = stop_attached(*me, tstate, interp);
    finalizing::end_stop();
    return outcome;
}

} // namespace pyattach
