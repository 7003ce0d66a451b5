// Housekeeping: making, waking and ending the housekeeper.
#include "core/housekeeping.hpp"

#include <algorithm>

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/upcalls.hpp"
#include "cpython/guarded.hpp"
#include "platform/clock.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::housekeeping {

futex::word word{none};

namespace {

constexpr int64_t millisecond_ns = 1000000;
// What a round could not do is tried again after twice the time, up to this.
constexpr int64_t longest_delay_ns = 1000 * millisecond_ns;
// So often it looks whether a thread whose tstate is orphaned has ended meanwhile. If it has not by then, the end of
// another thread, or of the interpreter, brings the next look.
constexpr int most_looks = 8;
// The most interpreters that one round serves. The next round serves more.
constexpr unsigned most_served = 32;

std::atomic<int> policy{PYATTACH_HOUSEKEEPING ? PYATTACH_HOUSEKEEPING_AUTO : PYATTACH_HOUSEKEEPING_OFF};
std::atomic<int64_t> release_delay_ns{100 * millisecond_ns};
std::atomic<bool> is_reap_due{false};
// Since when work has waited for a round; 0: none has. A housekeeper that a fork has ended leaves it to the next one,
// so that forks in quick succession do not begin the release delay anew each time.
std::atomic<int64_t> waiting_since_ns{0};
// Which housekeeper the word speaks of. One that was abandoned finds another number, and leaves the word alone.
std::atomic<uint32_t> generation{0};
// Of the housekeeper; written by it before it sets `ended`.
pthread_t handle;
std::atomic<pid_t> id{0};

bool change(uint32_t from, uint32_t to) noexcept {
    return word.compare_exchange_strong(from, to, std::memory_order_seq_cst);
}
void set(uint32_t to) noexcept {
    word.store(to, std::memory_order_seq_cst);
    futex::wake(word, futex::everyone);
}

bool has_waiting(const interpreter &interp) noexcept {
    return !interp.pool.is_empty_ordered() && interp.gate.now() == gate::open;
}

bool has_orphaned(const interpreter &interp) noexcept {
    return interp.data->orphaned.count.load(std::memory_order_relaxed) != 0 && interp.gate.now() == gate::open;
}

// Writes the interpreters for which `is_wanted` says true, at most most_served, and returns how many there are. Records
// are never freed.
unsigned list_interpreters(bool (*is_wanted)(const interpreter &) noexcept, interpreter **found) noexcept {
    unsigned count = 0;
    lock_registry();
    for (interp_data *data = newest_data(); data && count < most_served; data = data->next)
        if (!data->interp->is_cleared() && is_wanted(*data->interp))
            found[count++] = data->interp;
    unlock_registry();
    return count;
}

unsigned count_interpreters(bool (*is_wanted)(const interpreter &) noexcept) noexcept {
    interpreter *found[most_served];
    return list_interpreters(is_wanted, found);
}

bool has_work() noexcept { return is_reap_due.load(std::memory_order_seq_cst) || count_interpreters(has_waiting) != 0; }

// --- The housekeeper's own thread

int64_t usual_delay_ns() noexcept { return release_delay_ns.load(std::memory_order_relaxed) / 2; }
bool is_current(uint32_t own) noexcept { return generation.load(std::memory_order_acquire) == own; }

void note_waiting() noexcept {
    int64_t none_waits = 0;
    waiting_since_ns.compare_exchange_strong(none_waits, monotonic_ns(), std::memory_order_relaxed);
}

// Stays so long, and until work has waited for half the release delay. False: the housekeeper has to end.
bool stay_awake(uint32_t own, int64_t least_ns) noexcept {
    const int64_t began_ns = monotonic_ns();
    note_waiting();
    const int64_t since_ns = waiting_since_ns.load(std::memory_order_relaxed);
    for (;;) {
        if (!is_current(own) || word.load(std::memory_order_acquire) != awake)
            return false;
        const int64_t left_ns = std::max(since_ns + usual_delay_ns(), began_ns + least_ns) - monotonic_ns();
        if (left_ns <= 0)
            return true;
        futex::wait(word, awake, std::min(left_ns, longest_delay_ns)); // the release delay may change
    }
}

// A destructor that runs on this thread may switch housekeeping off, and does not wait for it. The word says `stopping`
// before the policy is read again, and set_policy stores the policy before it reads the word, all sequentially
// consistent. So either this thread reads that housekeeping is on again, or set_policy waits for its end.
bool is_switched_off() noexcept {
    if (is_on())
        return false;
    change(awake, stopping);
    return !is_on() || !change(stopping, awake);
}

void sleep(uint32_t own) noexcept {
    if (!is_current(own) || !is_on() || !change(awake, asleep))
        return;
    if (has_work()) {
        change(asleep, awake); // or a request has done so
        return;
    }
    while (is_current(own) && word.load(std::memory_order_acquire) == asleep)
        futex::wait(word, asleep);
}

// False: an interpreter refused the housekeeper.
bool run_round() noexcept {
    interpreter *served[most_served];
    const unsigned count = list_interpreters(
        [](const interpreter &interp) noexcept { return has_waiting(interp) || has_orphaned(interp); }, served);
    bool is_well = true;
    for (unsigned i = 0; i < count; ++i)
        is_well = keep_house(*served[i]) && is_well;
    return is_well;
}

void *run(void *number) noexcept {
    const auto own = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(number));
    handle = own_ident();
    id.store(own_native_id(), std::memory_order_release);
    name_own_thread("pyattach");
    this_thread.housekeeper = 1;
    int looks = 0;
    int64_t delay_ns = 0;
    for (;;) {
        if (is_switched_off() || !stay_awake(own, delay_ns))
            break;
        if (is_reap_due.exchange(false, std::memory_order_seq_cst))
            looks = 0;
        waiting_since_ns.store(0, std::memory_order_relaxed);
        const bool is_well = run_round();
        const bool looks_again = count_interpreters(has_orphaned) != 0 && ++looks < most_looks;
        if (is_well && !looks_again) {
            delay_ns = 0;
            sleep(own);
        } else {
            delay_ns = std::min(2 * std::max(delay_ns, std::max(usual_delay_ns(), millisecond_ns)), longest_delay_ns);
        }
    }
    leave_house();
    if (is_current(own)) {
        id.store(0, std::memory_order_relaxed);
        set(ended);
    }
    return nullptr;
}

// --- Other threads

void join_ended() noexcept {
    if (!change(ended, joining))
        return;
    pthread_join(handle, nullptr);
    set(none);
}

// After `none` was changed to `awake`.
bool start() noexcept {
    const uintptr_t number = generation.load(std::memory_order_relaxed);
    if (start_thread(run, reinterpret_cast<void *>(number)))
        return true;
    set(none);
    return false;
}

} // namespace

bool is_on() noexcept { return policy.load(std::memory_order_seq_cst) == PYATTACH_HOUSEKEEPING_AUTO; }
pid_t native_id() noexcept { return id.load(std::memory_order_relaxed); }

bool request_slow(const interpreter &interp) noexcept {
    if (!is_on() || is_housekeeper() || interp.gate.now() != gate::open || is_python_out_of_order())
        return false;
    for (;;) {
        switch (word.load(std::memory_order_seq_cst)) {
        case none:
            note_waiting();
            if (change(none, awake))
                return start();
            break;
        case asleep:
            if (change(asleep, awake)) {
                futex::wake(word, futex::everyone);
                return true;
            }
            break;
        case ended:
            join_ended();
            break;
        default:
            return true;
        }
    }
}

void request_reap(const interpreter &interp) noexcept {
    is_reap_due.store(true, std::memory_order_seq_cst);
    request(interp);
}

bool stop(int64_t limit_ns) noexcept {
    const int64_t until_ns = monotonic_ns() + limit_ns;
    for (;;) {
        const uint32_t seen = word.load(std::memory_order_acquire);
        if (seen == none)
            return true;
        if (is_housekeeper())
            return false;
        if (seen == ended) {
            join_ended();
        } else if (seen == asleep || seen == awake) {
            if (change(seen, stopping))
                futex::wake(word, futex::everyone);
        } else {
            const int64_t left_ns = until_ns - monotonic_ns();
            if (left_ns <= 0)
                return false;
            futex::wait(word, seen, left_ns);
        }
    }
}

void stop_detached(int64_t limit_ns) noexcept {
    if (word.load(std::memory_order_relaxed) == none || this_thread.forbidden)
        return;
    thread_state *tstate = current_tstate();
    if (tstate)
        cpython::save();
    stop(limit_ns);
    if (tstate)
        cpython::restore(tstate);
}

void resume() noexcept {
    interpreter *found[most_served];
    if (is_on() &&
        list_interpreters(
            [](const interpreter &interp) noexcept { return has_waiting(interp) || has_orphaned(interp); }, found) != 0)
        request_reap(*found[0]);
}

void abandon() noexcept {
    if (is_housekeeper())
        return;
    const uint32_t seen = word.load(std::memory_order_acquire);
    if (seen == none || seen == joining)
        return;
    if (seen == ended)
        return join_ended();
    // A thread that has not stored its handle yet is not inside, and ends by itself.
    if (id.load(std::memory_order_acquire) == 0) {
        change(awake, stopping);
        return;
    }
    pthread_detach(handle);
    generation.fetch_add(1, std::memory_order_release);
    id.store(0, std::memory_order_relaxed);
    set(none);
}

void forget() noexcept {
    if (is_housekeeper())
        return;
    generation.fetch_add(1, std::memory_order_relaxed);
    id.store(0, std::memory_order_relaxed);
    is_at_work.store(false, std::memory_order_relaxed);
    waiting_since_ns.store(0, std::memory_order_relaxed);
    word.store(none, std::memory_order_relaxed);
}

void set_policy(pyattach_housekeeping wanted) noexcept {
    policy.store(wanted, std::memory_order_seq_cst);
    const bool is_on = wanted == PYATTACH_HOUSEKEEPING_AUTO;
    if (!is_on || word.load(std::memory_order_seq_cst) == stopping)
        stop_detached(longest_delay_ns);
    if (is_on)
        resume();
}

void set_release_delay(long long delay_ns) noexcept {
    release_delay_ns.store(std::max(0LL, delay_ns), std::memory_order_relaxed);
}

} // namespace pyattach::housekeeping
