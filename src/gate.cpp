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
    one.next = room_->participants;
    if (room_->participants)
        room_->participants->previous = &one;
    room_->participants = &one;
}

void gate::add(participant &one) noexcept {
    room_->lock.lock();
    put_back(one);
    room_->lock.unlock();
}

void gate::remove(participant &one) noexcept {
    room_->lock.lock();
    (one.previous ? one.previous->next : room_->participants) = one.next;
    if (one.next)
        one.next->previous = one.previous;
    room_->left.fetch_add(1, std::memory_order_relaxed);
    room_->lock.unlock();
    futex::wake(room_->left, futex::everyone);
}

bool gate::is_taken(pthread_t identity) noexcept {
    room_->lock.lock();
    const participant *one = room_->participants;
    while (one && !(one->is_taken && pthread_equal(one->self, identity)))
        one = one->next;
    room_->lock.unlock();
    return one;
}

bool gate::has_warm(const cpython::thread_state *state) const noexcept {
    const participant *keeper = room_->participants;
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
    room_->lock.lock();
    room_->left.fetch_add(1, std::memory_order_relaxed);
    room_->lock.unlock();
    futex::wake(room_->left, futex::everyone);
}

unsigned gate::count(const participant *except, bool attached_only) const noexcept {
    unsigned inside = 0;
    for (const participant *one = room_->participants; one; one = one->next) {
        uint8_t says = one->inside.load(std::memory_order_acquire);
        if (one != except && (attached_only ? says == presence::attached : says != presence::outside))
            ++inside;
    }
    return inside;
}

unsigned gate::wait(const participant *except, bool attached_only, int64_t deadline_ns) noexcept {
    uncancelled here;
    for (;;) {
        room_->lock.lock();
        const unsigned inside = count(except, attached_only);
        const uint32_t seen = room_->left.load(std::memory_order_relaxed);
        room_->lock.unlock();
        const int64_t left_ns = deadline_ns - monotonic_ns();
        if (inside == 0 || left_ns <= 0)
            return inside;
        futex::wait(room_->left, seen, left_ns);
    }
}

unsigned gate::who(const participant *except, pid_t *ids, unsigned most) noexcept {
    unsigned found = 0;
    room_->lock.lock();
    for (const participant *one = room_->participants; one && found < most; one = one->next)
        if (one != except && one->inside.load(std::memory_order_acquire) != presence::outside)
            ids[found++] = one->native_id;
    room_->lock.unlock();
    return found;
}

} // namespace pyattach
