// Interpreter: the records of this process's interpreters, and the registry's lock.
#include "core/interpreter.hpp"

#include <climits>
#include <cstdlib>
#include <new>

#include "base/internal_lock.hpp"

namespace pyattach {

std::atomic<interpreter *> main_record{nullptr};
std::atomic<bool> has_main_ended{false};
std::atomic<pid_t> main_thread_id{0};

namespace {

internal_lock registry_lock;
// Newest first. An interp_data is complete before it is linked, and is freed only after it has been unlinked. So a fork
// child can follow the list whatever another thread was doing at the fork.
std::atomic<interp_data *> all_data{nullptr};

size_t ended_high_water; // see note_high_water_locked

// Records are allocated by the page. They are never freed, so no page has to be remembered.
constexpr unsigned records_a_page = 4096 / sizeof(interpreter);
char *fresh_records;
unsigned fresh_left;

void free_data(interp_data &data) noexcept {
    while (exit_callback *callback = data.callbacks) {
        data.callbacks = callback->next;
        std::free(callback);
    }
    data.~interp_data();
    std::free(&data);
}

} // namespace

void lock_registry() noexcept { registry_lock.lock(); }
void unlock_registry() noexcept { registry_lock.unlock(); }
bool lock_registry_within(int64_t limit_ns) noexcept { return registry_lock.lock_within(limit_ns); }
void hold_locked_registry() noexcept { registry_lock.hold_locked(); }
void release_hold_on_registry() noexcept { registry_lock.release_hold(); }
bool restart_registry() noexcept {
    if (!registry_lock.restart())
        return false;
    fresh_left = 0;
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->orphaned.first = data->vacant.first = nullptr;
        data->orphaned.add(-static_cast<int>(data->orphaned.count.load(std::memory_order_relaxed)));
        data->vacant.add(-static_cast<int>(data->vacant.count.load(std::memory_order_relaxed)));
        data->reap_batches = nullptr;
        data->callbacks = nullptr;
        data->refs = UINT_MAX / 2; // the participants given up keep their references, so it is never freed
    }
    return true;
}
interpreter *new_record_locked(cpython::interp_state *state) noexcept {
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
    auto *data = new (memory) interp_data(*record);
    new (fresh_records) interpreter(state, *data);
    fresh_records += sizeof(interpreter);
    --fresh_left;
    data->next = all_data.load(std::memory_order_relaxed);
    all_data.store(data, std::memory_order_release);
    return record;
}

interp_data *newest_data() noexcept { return all_data.load(std::memory_order_acquire); }
void note_high_water_locked(size_t most) noexcept {
    if (most > ended_high_water)
        ended_high_water = most;
}
size_t high_water_of_ended() noexcept { return ended_high_water; }

interpreter *find_interpreter_locked(cpython::interp_state *state) noexcept {
    for (interp_data *data = newest_data(); data; data = data->next)
        if (data->interp->state == state && !data->interp->is_cleared())
            return data->interp;
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

} // namespace pyattach
