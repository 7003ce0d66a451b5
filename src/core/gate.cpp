// The gate of one interpreter: the closing side.
#include "core/gate.hpp"

#include "platform/clock.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach {

void gate::add(participant &member) noexcept {
    data_->lock.lock();
    put_back(member);
    data_->lock.unlock();
}

void gate::remove(participant &member) noexcept {
    data_->lock.lock();
    data_->participants.remove(member);
    data_->left.fetch_add(1, std::memory_order_relaxed);
    data_->lock.unlock();
    futex::wake(data_->left, futex::everyone);
}

bool gate::has_ident(thread_ident ident) noexcept {
    bool is_found = false;
    data_->lock.lock();
    for (const participant &member : data_->participants)
        is_found = is_found || (member.is_taken && is_same_ident(member.ident, ident));
    data_->lock.unlock();
    return is_found;
}

bool gate::is_empty_but_for(const participant *self, pid_t native_id) const noexcept {
    for (const participant &member : data_->participants)
        if (&member != self && (native_id == 0 || member.native_id != native_id) &&
            member.presence_now.load(std::memory_order_acquire) != presence::outside)
            return false;
    return true;
}

bool gate::has_tstate(const cpython::thread_state *tstate, pid_t native_id) const noexcept {
    for (const participant &member : data_->participants)
        if (member.warm_tstate == tstate ||
            (native_id && member.native_id == native_id && member.last_tstate == tstate))
            return true;
    return false;
}

pid_t gate::owner_of(const cpython::thread_state *tstate) noexcept {
    const pid_t own = own_native_id();
    pid_t owner = 0;
    data_->lock.lock();
    for (const participant &member : data_->participants)
        if (member.native_id != own && __atomic_load_n(&member.warm_tstate, __ATOMIC_RELAXED) == tstate &&
            member.presence_now.load(std::memory_order_acquire) != presence::detached)
            owner = member.native_id;
    data_->lock.unlock();
    return owner;
}

// A loop, because a registration that comes too late may end the gate while the finalizing thread seals it.
void gate::advance(state to) noexcept {
    uint32_t from = word_.load(std::memory_order_relaxed);
    while (from < to && !word_.compare_exchange_weak(from, to, std::memory_order_release, std::memory_order_relaxed))
        ;
    heavy_fence();
}

#ifdef PYATTACH_TEST_PAUSE
void gate::reopen() noexcept {
    word_.store(open, std::memory_order_release);
    heavy_fence();
}
#endif

void gate::refuse(participant &self, presence before) noexcept { leave(self, before); }

void gate::wake() noexcept {
    // The lock orders this either before the finalizing thread reads the participants, or after it has read the word
    // that it will sleep on, which then differs. So the wake-up cannot fall between these two reads.
    data_->lock.lock();
    data_->left.fetch_add(1, std::memory_order_relaxed);
    data_->lock.unlock();
    futex::wake(data_->left, futex::everyone);
}

unsigned gate::count(const participant *except, bool attached_only) const noexcept {
    unsigned inside = 0;
    for (const participant &member : data_->participants) {
        const presence says = member.presence_now.load(std::memory_order_acquire);
        if (&member != except && (attached_only ? says == presence::attached : says != presence::outside))
            ++inside;
    }
    return inside;
}

unsigned gate::wait(const participant *except, bool attached_only, int64_t deadline_ns) noexcept {
    uncancelled no_cancel;
    for (;;) {
        data_->lock.lock();
        const unsigned inside = count(except, attached_only);
        const uint32_t seen = data_->left.load(std::memory_order_relaxed);
        data_->lock.unlock();
        const int64_t left_ns = deadline_ns - monotonic_ns();
        if (inside == 0 || left_ns <= 0)
            return inside;
        futex::wait(data_->left, seen, left_ns);
    }
}

unsigned gate::count_attached(const participant *except) noexcept {
    data_->lock.lock();
    const int64_t until_ns = monotonic_ns() + 20000000;
    unsigned attached;
    while ((attached = count(except, true)) != 0 && monotonic_ns() < until_ns)
        sleep_uncancelled(100000);
    data_->lock.unlock();
    return attached;
}

gate::attached_threads gate::look_at_attached(const participant *except) noexcept {
    attached_threads found = {0, true, 0};
    data_->lock.lock();
    for (const participant &member : data_->participants) {
        if (&member == except || member.presence_now.load(std::memory_order_acquire) != presence::attached)
            continue;
        ++found.count;
        thread_activity activity;
        found.all_sleep = found.all_sleep && read_activity(member.native_id, activity) && activity.is_asleep;
        found.cpu_ns += found.all_sleep ? activity.cpu_ns : 0;
    }
    data_->lock.unlock();
    return found;
}

unsigned gate::list_inside(const participant *except, inside_thread *threads, unsigned most) noexcept {
    unsigned found = 0;
    data_->lock.lock();
    for (const participant &member : data_->participants)
        if (found < most && &member != except &&
            member.presence_now.load(std::memory_order_acquire) != presence::outside) {
            copy_label(member.label, threads[found].label);
            threads[found++].id = member.native_id;
        }
    data_->lock.unlock();
    return found;
}

// Without the C library's formatting, because a signal handler may call this (pyattach_report).
void copy_label(const char *label, char (&copy)[64]) noexcept {
    size_t length = 0;
    for (; label && label[length] && length < sizeof copy - 1; ++length)
        copy[length] = label[length];
    copy[length] = '\0';
}

bool gate::copy_label_of(const participant &member, char (&copy)[64], int64_t limit_ns) noexcept {
    if (limit_ns < 0)
        data_->lock.lock();
    else if (!data_->lock.lock_within(limit_ns))
        return false;
    copy_label(member.label, copy);
    data_->lock.unlock();
    return true;
}

bool gate::set_label(participant &self, const char *label) noexcept {
    if (self.label) // only this thread writes it
        return false;
    data_->lock.lock();
    self.label = label;
    data_->lock.unlock();
    return true;
}

void gate::clear_label(participant &self) noexcept {
    if (!self.label)
        return;
    data_->lock.lock();
    self.label = nullptr;
    data_->lock.unlock();
}

} // namespace pyattach
