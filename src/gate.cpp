// The gate of one interpreter: the closing side.
#include "gate.hpp"

#include <ctime>

#include "uncancelled.hpp"

namespace pyattach {

int64_t monotonic_ns() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

void gate::put_back(participant &one) noexcept {
    one.previous = nullptr;
    one.next = data_->participants;
    if (data_->participants)
        data_->participants->previous = &one;
    data_->participants = &one;
}

void gate::add(participant &one) noexcept {
    data_->lock.lock();
    put_back(one);
    data_->lock.unlock();
}

void gate::remove(participant &one) noexcept {
    data_->lock.lock();
    (one.previous ? one.previous->next : data_->participants) = one.next;
    if (one.next)
        one.next->previous = one.previous;
    data_->left.fetch_add(1, std::memory_order_relaxed);
    data_->lock.unlock();
    futex::wake(data_->left, futex::everyone);
}

bool gate::is_taken(pthread_t ident) noexcept {
    data_->lock.lock();
    const participant *one = data_->participants;
    while (one && !(one->is_taken && pthread_equal(one->self, ident)))
        one = one->next;
    data_->lock.unlock();
    return one;
}

bool gate::has_warm(const cpython::thread_state *state) const noexcept {
    const participant *keeper = data_->participants;
    while (keeper && keeper->warm != state)
        keeper = keeper->next;
    return keeper;
}

void gate::set(state now) noexcept {
    word_.store(now, std::memory_order_release);
    heavy_fence();
}

void gate::refuse(participant &mine, uint8_t before) noexcept { leave(mine, before); }

void gate::wake() noexcept {
    // Under the lock, and so either before the closing thread looks at the participants, or after it has read the word
    // that it will sleep on, which then differs: the wake-up cannot fall between the two.
    data_->lock.lock();
    data_->left.fetch_add(1, std::memory_order_relaxed);
    data_->lock.unlock();
    futex::wake(data_->left, futex::everyone);
}

unsigned gate::count(const participant *except, bool attached_only) const noexcept {
    unsigned inside = 0;
    for (const participant *one = data_->participants; one; one = one->next) {
        uint8_t says = one->inside.load(std::memory_order_acquire);
        if (one != except && (attached_only ? says == presence::attached : says != presence::outside))
            ++inside;
    }
    return inside;
}

unsigned gate::wait(const participant *except, bool attached_only, int64_t deadline_ns) noexcept {
    uncancelled here;
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

unsigned gate::who(const participant *except, pid_t *ids, unsigned most) noexcept {
    unsigned found = 0;
    data_->lock.lock();
    for (const participant *one = data_->participants; one && found < most; one = one->next)
        if (one != except && one->inside.load(std::memory_order_acquire) != presence::outside)
            ids[found++] = one->native_id;
    data_->lock.unlock();
    return found;
}

} // namespace pyattach
