// The gate of one interpreter: the closing side.
#include "gate.hpp"

#include <ctime>

namespace pyattach {

int64_t monotonic_ns() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

void gate::put_back(seat &one) noexcept {
    one.previous = nullptr;
    one.next = room_->seats;
    if (room_->seats)
        room_->seats->previous = &one;
    room_->seats = &one;
}

void gate::add(seat &one) noexcept {
    room_->lock.lock();
    put_back(one);
    room_->lock.unlock();
}

void gate::remove(seat &one) noexcept {
    room_->lock.lock();
    (one.previous ? one.previous->next : room_->seats) = one.next;
    if (one.next)
        one.next->previous = one.previous;
    room_->left.fetch_add(1, std::memory_order_relaxed);
    room_->lock.unlock();
    futex::wake(room_->left, futex::everyone);
}

bool gate::is_taken(pthread_t identity) noexcept {
    room_->lock.lock();
    const seat *one = room_->seats;
    while (one && !(one->is_taken && pthread_equal(one->self, identity)))
        one = one->next;
    room_->lock.unlock();
    return one;
}

bool gate::has_warm(const cpython::thread_state *state) const noexcept {
    const seat *keeper = room_->seats;
    while (keeper && keeper->warm != state)
        keeper = keeper->next;
    return keeper;
}

void gate::set(state now) noexcept {
    word_.store(now, std::memory_order_release);
    heavy_fence();
}

void gate::refuse(seat &mine, uint8_t before) noexcept { leave(mine, before); }

void gate::wake() noexcept {
    // Under the lock, and so either before the closing thread looks at the seats, or after it has read the word that it
    // will sleep on, which then differs: the wake-up cannot fall between the two.
    room_->lock.lock();
    room_->left.fetch_add(1, std::memory_order_relaxed);
    room_->lock.unlock();
    futex::wake(room_->left, futex::everyone);
}

unsigned gate::count(const seat *except, bool attached_only) const noexcept {
    unsigned inside = 0;
    for (const seat *one = room_->seats; one; one = one->next) {
        uint8_t says = one->inside.load(std::memory_order_acquire);
        if (one != except && (attached_only ? says == presence::attached : says != presence::outside))
            ++inside;
    }
    return inside;
}

unsigned gate::wait(const seat *except, bool attached_only, int64_t deadline_ns) noexcept {
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

unsigned gate::who(const seat *except, pid_t *ids, unsigned most) noexcept {
    unsigned found = 0;
    room_->lock.lock();
    for (const seat *one = room_->seats; one && found < most; one = one->next)
        if (one != except && one->inside.load(std::memory_order_acquire) != presence::outside)
            ids[found++] = one->native_id;
    room_->lock.unlock();
    return found;
}

} // namespace pyattach
