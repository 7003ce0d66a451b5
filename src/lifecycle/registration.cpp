// Registration: records, and the hooks that CPython calls.
#include "lifecycle/registration.hpp"

#include "base/deadline.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
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

// CPython clears the interpreter: the capsule in its dict dies. Covers also an interpreter whose atexit callbacks were
// thrown away.
void on_interp_cleared(void *value) noexcept {
    interpreter &interp = *static_cast<interpreter *>(value);
    interp.gate.end();
    size_t high_water = interp.pool.high_water();
    count(event::drops_leaked, interp.pool.close());
    warm_state::forget_orphaned(interp);
    // Still there only if the exit hook never ran.
    cpython::decref(interp.data->threading_active.exchange(nullptr, std::memory_order_acq_rel));
    interpreter *expected = &interp;
    const bool is_main =
        main_record.compare_exchange_strong(expected, nullptr, std::memory_order_release, std::memory_order_relaxed);
    lock_registry();
    note_high_water_locked(high_water);
    if (is_main)
        finalizing::begin_by_host();
    // Last, and with release: who sees it gone sees it dead. Under the lock: who saw it not gone there has a hold.
    interp.gate.clear();
    release_data_locked(interp);
    unlock_registry();
}

// By the thread that won.
void register_hooks_now(interpreter &interp, cpython::interp_state *here) noexcept {
    ++this_thread.registering;
    if (is_main_tstate(cpython::python().current()))
        main_thread_id.store(own_native_id(), std::memory_order_relaxed);
    cpython::trust_layout();
    auto done = cpython::hook::failed;
    // Not asked of the dict, which finds nothing when memory is short; and a second capsule would end the first one,
    // which says that the interpreter is gone.
    if (!interp.is_kept.load(std::memory_order_relaxed))
        interp.is_kept.store(cpython::attach_record(here, &interp, on_interp_cleared), std::memory_order_release);
    if (interp.is_kept.load(std::memory_order_relaxed))
        done = cpython::register_exit_hook(here, {close_interpreter, finalizing::expect_end, finalizing::end_by_host,
                                                  fork_begins, fork_ended, order_restored,
                                                  []() noexcept { ++this_thread.registering; }});
    if (done == cpython::hook::too_late) {
        // Exit callbacks of the main interpreter run on its first thread, which stays free to attach and detach.
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

// Registers the exit hook, or waits for the thread that does. That one runs Python code, imports among it, for some
// hundred milliseconds; a thread that went on meanwhile would do so without the hook, and an exit would not wait for
// it.
//
// It waits detached, as the registering thread needs the GIL, and holds nothing of the library's. But it may hold what
// the registering thread comes to need: an import lock, if it attaches below an import, or any lock of the program's,
// as import hooks and audit hooks are anybody's code. So it gives up after a second, and goes on as if it had not
// asked. Nor does a registration wait for itself: code that it runs may attach, on this thread or on the one that
// imports `threading` for it. One of another interpreter is not waited for either, as that may be the other way round,
// too. And an exit that begins meanwhile waits for the waiting thread, whose participant says attached, longer than a
// second.
void register_hooks(interpreter &interp, cpython::interp_state *here) noexcept {
    for (lazy_deadline limit;;) {
        uint32_t seen = interpreter::none;
        if (interp.hook.compare_exchange_strong(seen, interpreter::busy, std::memory_order_acquire))
            return register_hooks_now(interp, here);
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
    if (interp && is_main)
        main_record.store(interp, std::memory_order_release);
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

// Between the thread's look at Python and this one, others may have registered the interpreter and ended it. Its record
// was then cleared under this lock, after Py_IsInitialized() had become false; so who finds no record here, and Python
// initialised with the same main interpreter, is in a life that nobody has registered yet. Whoever registers that one
// finds the record made here, and its end waits for the thread. (The two functions read a word each.)
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

interpreter *lookup_or_register_slow(thread &me, cpython::interp_state *here) noexcept {
    no_drain_scope no_drain; // collections run destructors, which may attach
    // The capsule in the interpreter's own dict tells this life from an earlier one at the same address.
    auto *record = static_cast<interpreter *>(cpython::attached_record(here));
    if (!record) {
        // Past its end, an interpreter still runs destructors; it registers nothing any more.
        if (!cpython::python().is_initialized())
            return find_interpreter(here);
        record = find_or_make_interpreter(here);
        if (!record)
            return nullptr;
    }
    register_hooks(*record, here);
    // Remembered only once the hook is there, so that after a failure every contact comes here and tries again.
    remember_interp(me, record);
    me.current_at = cpython::current_at();
    return record;
}

} // namespace pyattach
