// The records of the interpreters this process has met.
#include "core/interpreter.hpp"

#include <climits>
#include <cstdlib>
#include <new>

#include "lifecycle/exit.hpp"
#include "base/diagnostics.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/fork.hpp"
#include "base/internal_lock.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {

std::atomic<interpreter *> main_record{nullptr};
std::atomic<pid_t> main_thread_id{0};

namespace {

internal_lock registry_lock;
// Newest first. One that is taken off is freed afterwards, and one that is put on is complete: a fork child walks them
// whatever else was under way.
std::atomic<interp_data *> all_data{nullptr};

size_t ended_high_water;

// Records come by the page: they are never freed, so nothing but themselves need be kept.
constexpr unsigned records_a_page = 4096 / sizeof(interpreter);
char *fresh_records;
unsigned fresh_left;

interpreter *fresh_record(cpython::interp_state *state) noexcept {
    if (fresh_left == 0) {
        void *page = nullptr;
        if (posix_memalign(&page, alignof(interpreter), records_a_page * sizeof(interpreter)) != 0)
            return nullptr;
        fresh_records = static_cast<char *>(page);
        fresh_left = records_a_page;
    }
    void *memory = std::malloc(sizeof(interp_data));
    if (!memory)
        return nullptr;
    auto *record = reinterpret_cast<interpreter *>(fresh_records);
    auto *its = new (memory) interp_data(*record);
    new (fresh_records) interpreter(state, *its);
    fresh_records += sizeof(interpreter);
    --fresh_left;
    its->next = all_data.load(std::memory_order_relaxed);
    all_data.store(its, std::memory_order_release);
    return record;
}

void free_data(interp_data &data) noexcept {
    while (exit_callback *callback = data.callbacks) {
        data.callbacks = callback->next;
        std::free(callback);
    }
    data.~interp_data();
    std::free(&data);
}

// CPython clears the interpreter: the capsule in its dict dies. Covers also an interpreter whose atexit callbacks were
// thrown away.
void on_interp_cleared(void *value) noexcept {
    interpreter &interp = *static_cast<interpreter *>(value);
    interp.gate.set(gate::dead);
    size_t high_water = interp.pool.high_water();
    count(event::drops_leaked, interp.pool.close());
    warm_state::forget_orphaned(interp);
    // Still there only if the exit hook never ran.
    cpython::decref(interp.data->threading_active.exchange(nullptr, std::memory_order_acq_rel));
    interpreter *expected = &interp;
    const bool is_main =
        main_record.compare_exchange_strong(expected, nullptr, std::memory_order_release, std::memory_order_relaxed);
    lock_registry();
    if (high_water > ended_high_water)
        ended_high_water = high_water;
    if (is_main)
        finalizing::begin_by_host();
    // Last, and with release: who sees it gone sees it dead. Under the lock: who saw it not gone there has a hold.
    interp.is_cleared.store(true, std::memory_order_release);
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
        interp.gate.set(gate::dead);
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

} // namespace

void lock_registry() noexcept { registry_lock.lock(); }
void unlock_registry() noexcept { registry_lock.unlock(); }
void hold_locked_registry() noexcept { registry_lock.hold_locked(); }
void let_registry_go() noexcept { registry_lock.let_go(); }
bool restart_registry() noexcept {
    if (!registry_lock.restart())
        return false;
    fresh_left = 0;
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->dead.first = data->empty.first = nullptr;
        data->dead.add(-static_cast<int>(data->dead.count.load(std::memory_order_relaxed)));
        data->empty.add(-static_cast<int>(data->empty.count.load(std::memory_order_relaxed)));
        data->reap_batches = nullptr;
        data->callbacks = nullptr;
        data->last_callback = &data->callbacks;
        data->refs = UINT_MAX / 2; // what is given up holds it for ever
    }
    return true;
}
interp_data *newest_data() noexcept { return all_data.load(std::memory_order_acquire); }
size_t high_water_of_ended() noexcept { return ended_high_water; }

interpreter *find_interpreter_locked(cpython::interp_state *state) noexcept {
    for (interp_data *data = newest_data(); data; data = data->next)
        if (data->of->state == state && !data->of->is_cleared.load(std::memory_order_relaxed))
            return data->of;
    return nullptr;
}

interpreter *find_interpreter(cpython::interp_state *state) noexcept {
    lock_registry();
    interpreter *interp = find_interpreter_locked(state);
    unlock_registry();
    return interp;
}

void release_data_locked(interpreter &interp) noexcept {
    if (--interp.data->refs)
        return;
    interp_data *before = newest_data();
    if (before == interp.data) {
        all_data.store(interp.data->next, std::memory_order_release);
    } else {
        while (before->next != interp.data)
            before = before->next;
        before->next = interp.data->next;
    }
    free_data(*interp.data);
}

interpreter *find_or_make_interpreter(cpython::interp_state *state) noexcept {
    bool is_main = state == cpython::python().main_interpreter();
    lock_registry();
    interpreter *interp = find_interpreter_locked(state);
    if (!interp) {
        static bool is_prepared; // under the lock
        if (!is_prepared) {
            prepare_fences();
            is_prepared = true;
        }
        if (prepare_fork_locked())
            interp = fresh_record(state);
        if (interp && is_main)
            main_record.store(interp, std::memory_order_release);
    }
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

thread_state *current_tstate() noexcept {
    const thread *me = this_thread.record();
    const cpython::table &py = cpython::python();
    const bool is_known = __builtin_expect(me && me->current_at != &cpython::unknown, 1);
    // In a fork child the place is not known before Python is in order again.
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

void drain_if_allowed_slow(interpreter &interp) noexcept {
    if (!is_drain_disabled())
        drain(interp, drain_budget());
}

} // namespace pyattach
