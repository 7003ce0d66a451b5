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

gate::room::room() noexcept {
    pthread_mutex_init(&lock, nullptr);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&left, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void gate::put_back(seat &one) noexcept {
    one.previous = nullptr;
    one.next = room_->seats;
    if (room_->seats)
        room_->seats->previous = &one;
    room_->seats = &one;
}

void gate::add(seat &one) noexcept {
    hold();
    put_back(one);
    let_go();
}

void gate::remove(seat &one) noexcept {
    pthread_mutex_lock(&room_->lock);
    (one.previous ? one.previous->next : room_->seats) = one.next;
    if (one.next)
        one.next->previous = one.previous;
    pthread_cond_broadcast(&room_->left);
    pthread_mutex_unlock(&room_->lock);
}

bool gate::is_taken(pthread_t identity) noexcept {
    hold();
    const seat *one = room_->seats;
    while (one && !(one->is_taken && pthread_equal(one->self, identity)))
        one = one->next;
    let_go();
    return one;
}

void gate::set(state now) noexcept {
    word_.store(now, std::memory_order_release);
    heavy_fence();
}

void gate::refuse(seat &mine, uint8_t before) noexcept { leave(mine, before); }

void gate::wake() noexcept {
    // The lock orders this after the closer's look at the seats and before its sleep, so the wake-up cannot fall
    // between the two.
    pthread_mutex_lock(&room_->lock);
    pthread_cond_broadcast(&room_->left);
    pthread_mutex_unlock(&room_->lock);
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
    timespec deadline = {static_cast<time_t>(deadline_ns / 1000000000), static_cast<long>(deadline_ns % 1000000000)};
    uncancelled here;
    pthread_mutex_lock(&room_->lock);
    unsigned inside;
    while ((inside = count(except, attached_only)) != 0) {
        if (pthread_cond_timedwait(&room_->left, &room_->lock, &deadline) != 0) {
            inside = count(except, attached_only);
            break;
        }
    }
    pthread_mutex_unlock(&room_->lock);
    return inside;
}

unsigned gate::who(const seat *except, pid_t *ids, unsigned most) noexcept {
    unsigned found = 0;
    pthread_mutex_lock(&room_->lock);
    for (const seat *one = room_->seats; one && found < most; one = one->next)
        if (one != except && one->inside.load(std::memory_order_acquire) != presence::outside)
            ids[found++] = one->native_id;
    pthread_mutex_unlock(&room_->lock);
    return found;
}

} // namespace pyattach
