// Registration: makes the records of interpreters, and registers the hooks that CPython calls.
#include "lifecycle/registration.hpp"

#include "base/deadline.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "cpython/guarded.hpp"
#include "cpython/hooks.hpp"
#include "cpython/interp_dict.hpp"
#include "cpython/layout.hpp"
#include "cpython/threading.hpp"
#include "lifecycle/exit.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/starting.hpp"
#include "platform/fence.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

// The destructor of the capsule in the interpreter's dict, which CPython calls when it clears the interpreter. This
// also covers an interpreter whose atexit callbacks were discarded.
void on_interp_cleared(void *value) noexcept {
    interpreter &interp = *static_cast<interpreter *>(value);
    interp.gate.end();
    size_t high_water = interp.pool.high_water();
    count(event::drops_leaked, interp.pool.close());
    warm_state::forget_orphaned(interp);
    // The reference is still there only if the exit hook has never run.
    cpython::decref(interp.data->threading_active.exchange(nullptr, std::memory_order_acq_rel));
    interpreter *expected = &interp;
    if (main_interpreter() == &interp)
        has_main_ended.store(true, std::memory_order_release); // before there is no record
    const bool is_main =
        main_record.compare_exchange_strong(expected, nullptr, std::memory_order_release, std::memory_order_relaxed);
    if (is_main)
        housekeeping::abandon(); // the exit hook, if it ran, has ended the housekeeper
    lock_registry();
    note_high_water_locked(high_water);
    if (is_main)
        finalizing::begin_by_host();
    // The last step, with release: a thread that reads `cleared` also reads what this function stored before. It is
    // done under the registry's lock: a thread that read there that the interpreter is not cleared has a reference to
    // its data.
    interp.gate.clear();
    release_data_locked(interp);
    unlock_registry();
}

// Around os.fork(). The housekeeper ends before it, because the child would not have it, and because CPython warns of a
// fork beside other threads.
void before_fork() noexcept {
    housekeeping::stop_detached(housekeeper_limit_ns);
    on_before_fork();
}
void after_fork_in_parent() noexcept {
    on_after_fork_in_parent();
    housekeeping::resume();
}
void after_fork_in_child() noexcept {
    on_after_fork_in_child();
    housekeeping::resume();
}

// On the registering thread, the one that changed the hook's state to busy.
void register_hooks_now(interpreter &interp, cpython::interp_state *state) noexcept {
    ++this_thread.registering;
    if (is_main_tstate(cpython::python().current()))
        main_thread_id.store(own_native_id(), std::memory_order_relaxed);
    cpython::trust_layout();
    auto done = cpython::hook::failed;
    // This does not search the dict for the capsule, because that finds nothing if memory is short. A second capsule
    // would replace the first one, whose destructor marks the interpreter as cleared.
    if (!interp.has_capsule.load(std::memory_order_relaxed))
        interp.has_capsule.store(cpython::attach_record(state, &interp, on_interp_cleared), std::memory_order_release);
    if (interp.has_capsule.load(std::memory_order_relaxed))
        done = cpython::register_exit_hook(state, {close_interpreter, finalizing::expect_end, finalizing::end_by_host,
                                                   before_fork, after_fork_in_parent, after_fork_in_child,
                                                   []() noexcept { ++this_thread.registering; }});
    if (done == cpython::hook::too_late) {
        // CPython calls the exit callbacks of the main interpreter on its main thread, so that is the finalizing
        // thread, which may go on attaching and detaching.
        if (is_main_tstate(cpython::python().current()))
            interp.finalizing_thread.store(&this_thread, std::memory_order_relaxed);
        interp.gate.end();
    }
    if (done == cpython::hook::registered)
        interp.data->threading_active.store(cpython::threading_active(), std::memory_order_release);
    interp.hook.store(done == cpython::hook::failed ? interpreter::none : interpreter::registered,
                      std::memory_order_release);
    futex::wake(interp.hook, futex::everyone);
    --this_thread.registering;
}

// Registers the hooks, or waits for the registering thread. The registration runs Python code, among it imports, for
// some hundred milliseconds. A thread that did not wait would run without the exit hook, and an exit would not wait for
// it.
//
// The thread waits detached, because the registering thread needs the GIL, and it holds no internal lock. But it may
// hold what the registering thread comes to need: an import lock, if it attaches below an import, or any lock of the
// program, because import hooks and audit hooks can be any code. So it gives up after one second, and goes on without
// the hook.
//
// A registration does not wait for itself: code that it runs may attach, on the registering thread or on the helper
// thread that imports `threading`. Nor does it wait for the registration of another interpreter, because that one may
// be waiting for this one. An exit that begins meanwhile waits for the waiting thread, whose presence is
// `attached`, and its limit for attached threads is longer than one second (sleepers.hpp: a second from a sample that
// it takes during the wait).
void register_hooks(interpreter &interp, cpython::interp_state *state) noexcept {
    for (lazy_deadline limit;;) {
        uint32_t seen = interpreter::none;
        if (interp.hook.compare_exchange_strong(seen, interpreter::busy, std::memory_order_acquire))
            return register_hooks_now(interp, state);
        int64_t left;
        if (seen == interpreter::registered || this_thread.registering || (left = limit.left_ns()) <= 0)
            return;
        thread_state *tstate = cpython::save();
        futex::wait(interp.hook, interpreter::busy, left);
        cpython::restore(tstate);
    }
}

interpreter *make_record_locked(cpython::interp_state *state, bool is_main) noexcept {
    static bool is_prepared; // under the lock
    if (!is_prepared) {
        prepare_fences();
        is_prepared = true;
    }
    interpreter *interp = prepare_fork_locked() ? new_record_locked(state) : nullptr;
    if (interp && is_main) {
        main_record.store(interp, std::memory_order_release);
        has_main_ended.store(false, std::memory_order_release);
    }
    return interp;
}

} // namespace

interpreter *find_or_make_interpreter(cpython::interp_state *state) noexcept {
    bool is_main = state == cpython::python().main_interpreter();
    lock_registry();
    interpreter *interp = find_interpreter_locked(state);
    if (!interp)
        interp = make_record_locked(state, is_main);
    unlock_registry();
    return interp;
}

// After the calling thread read that Python is initialized, other threads may have registered the interpreter and ended
// it. The record was then cleared under this lock, after Py_IsInitialized() had become false. So if there is no record
// here, and Python is initialized with the same main interpreter, no thread has registered this interpreter yet. A
// thread that registers it later finds the record that is made here, and its end waits for the calling thread. (The two
// functions of CPython read a word each.)
interpreter *find_or_make_main(cpython::interp_state *state, bool &has_ended) noexcept {
    const cpython::table &py = cpython::python();
    lock_registry();
    interpreter *interp = find_interpreter_locked(state);
    has_ended = !interp && ((!py.is_initialized() && !is_starter()) || py.main_interpreter() != state);
    if (!interp && !has_ended)
        interp = make_record_locked(state, true);
    unlock_registry();
    return interp;
}

interpreter *lookup_or_register_slow(thread &me, cpython::interp_state *state) noexcept {
    no_drain_scope no_drain; // a collection runs destructors, which may attach
    // The capsule in the interpreter's own dict distinguishes it from an earlier interpreter at the same address.
    auto *record = static_cast<interpreter *>(cpython::attached_record(state));
    if (!record) {
        // After its finalization an interpreter still runs destructors, but it is not registered any more.
        if (!cpython::python().is_initialized())
            return find_interpreter(state);
        record = find_or_make_interpreter(state);
        if (!record)
            return nullptr;
    }
    register_hooks(*record, state);
    // The record becomes the last one only if the hook is registered. So after a failure each lookup gets here and
    // tries again.
    remember_interp(me, record);
    me.current_at = cpython::current_at();
    return record;
}

} // namespace pyattach
