// The records of the interpreters this process has met.
#include "interpreter.hpp"

#include <cstdlib>
#include <new>
#include <pthread.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "exit.hpp"
#include "fork.hpp"
#include "warm_state.hpp"

namespace pyattach {

std::atomic<interpreter *> main_record{nullptr};

namespace {

pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
// Newest first. Readers walk it without the lock: records are only ever put in front, and never freed.
std::atomic<interpreter *> records{nullptr};

// CPython clears the interpreter: the capsule in its dict dies. Covers also an interpreter whose atexit callbacks were
// thrown away.
void on_gone(void *value) noexcept {
    interpreter &record = *static_cast<interpreter *>(value);
    record.gate.set(gate::dead);
    count(event::drops_leaked, record.pool.close());
    warm_state::forget_dead(record);
    interpreter *expected = &record;
    main_record.compare_exchange_strong(expected, nullptr, std::memory_order_release, std::memory_order_relaxed);
    // Last, and with release: who sees it gone sees it dead.
    record.gone.store(true, std::memory_order_release);
}

} // namespace

void lock_registry() noexcept { pthread_mutex_lock(&registry_lock); }
void unlock_registry() noexcept { pthread_mutex_unlock(&registry_lock); }

interpreter *known(cpython::interpreter_state *state) noexcept {
    for (interpreter *one = records.load(std::memory_order_acquire); one; one = one->next)
        if (one->state == state && !one->gone.load(std::memory_order_acquire))
            return one;
    return nullptr;
}

interpreter *newest_record() noexcept { return records.load(std::memory_order_acquire); }

interpreter *find_or_make(cpython::interpreter_state *state) noexcept {
    bool is_main = state == cpython::python().main_interpreter();
    lock_registry();
    interpreter *record = known(state);
    if (!record) {
        interpreter *newest = records.load(std::memory_order_relaxed);
        if (!newest) {
            prepare_fences();
            prepare_fork();
        }
        if (void *memory = std::malloc(sizeof(interpreter))) {
            record = new (memory) interpreter();
            record->state = state;
            record->next = newest;
            records.store(record, std::memory_order_release);
            if (is_main)
                main_record.store(record, std::memory_order_release);
        }
    }
    unlock_registry();
    return record;
}

interpreter *meet_slowly(thread &me, cpython::interpreter_state *here) noexcept {
    // The capsule in the interpreter's own dict tells this life from an earlier one at the same address.
    auto *record = static_cast<interpreter *>(cpython::attached_record(here));
    if (!record) {
        // Past its end, an interpreter still runs destructors; it registers nothing any more.
        if (!cpython::python().is_initialized())
            return known(here);
        record = find_or_make(here);
        if (!record)
            return nullptr;
    }
    uint32_t expected = interpreter::none;
    if (record->hook.compare_exchange_strong(expected, interpreter::busy, std::memory_order_acquire)) {
        auto done = cpython::hook::failed;
        // Not asked of the dict, which finds nothing when memory is short; and a second capsule would end the first
        // one, which says that the interpreter is gone.
        if (record->is_kept || (record->is_kept = cpython::attach_record(here, record, on_gone)))
            done = cpython::register_exit_hook(here, close_interpreter, after_fork);
        if (done == cpython::hook::too_late) {
            // Exit callbacks of the main interpreter run on its first thread, which stays free to attach and detach.
            if (cpython::python().state_id(cpython::python().current()) == 1)
                record->ending_thread.store(&this_thread, std::memory_order_relaxed);
            record->gate.set(gate::dead);
        }
        record->hook.store(done == cpython::hook::failed ? interpreter::none : interpreter::registered,
                           std::memory_order_release);
    }
    // Remembered only once the hook is there, so that after a failure every contact comes here and tries again.
    bool is_registered = record->hook.load(std::memory_order_acquire) == interpreter::registered;
    me.met = is_registered ? record : nullptr;
    return record;
}

pid_t own_native_id() noexcept {
#if defined(__linux__)
    return static_cast<pid_t>(syscall(SYS_gettid));
#else
    return 0;
#endif
}

seat *seat_of(thread &me, interpreter &where) noexcept {
    for (seat *one = me.seats; one; one = one->next_of_thread)
        if (one->where == &where)
            return one;
    void *memory = std::calloc(1, sizeof(seat));
    if (!memory)
        return nullptr;
    seat *mine = new (memory) seat();
    mine->where = &where;
    mine->self = pthread_self();
    mine->native_id = own_native_id();
    where.gate.add(*mine);
    mine->next_of_thread = me.seats;
    me.seats = mine;
    return mine;
}

void drain_unless_quiet(interpreter &here) noexcept {
    if (this_thread.quiet == 0)
        drain(here, drain_budget());
}

} // namespace pyattach
