// References given back by threads that were not attached.
#include "pool.hpp"

#include <algorithm>
#include <cstdlib>

namespace pyattach {

pool::data::~data() {
    while (producer *one = producers) {
        producers = one->older;
        producer::destroy(one);
    }
}

producer *pool::add_producer() noexcept {
    producer *one = producer::make();
    if (!one)
        return nullptr;
    data_->lock.lock();
    one->older = data_->producers;
    if (data_->producers)
        data_->producers->newer = one;
    data_->producers = one;
    data_->lock.unlock();
    return one;
}

void pool::unlink_and_free(producer &one) noexcept {
    (one.newer ? one.newer->older : data_->producers) = one.older;
    if (one.older)
        one.older->newer = one.newer;
    producer::destroy(&one);
}

bool pool::orphan(producer &one) noexcept {
    data_->lock.lock();
    const bool is_crowded = add_waiting(one.take_uncounted());
    // Listed: a drain finds it in the list, and frees it when it is empty.
    if (one.is_listed.load(std::memory_order_relaxed))
        one.is_orphan = true;
    else
        unlink_and_free(one);
    data_->lock.unlock();
    return is_crowded;
}

bool pool::list(listed &one) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return false;
        one.next = reinterpret_cast<listed *>(head);
    } while (!head_.compare_exchange_weak(head, reinterpret_cast<uintptr_t>(&one), std::memory_order_release,
                                          std::memory_order_relaxed));
    return true;
}

pool::outcome pool::push_fenced(producer &mine, object *reference) noexcept {
    bool is_listed, is_count_due;
    if (!mine.push_fenced(reference, data_->spares, is_listed, is_count_due))
        return outcome::refused;
    const bool is_crowded = is_count_due && add_waiting(mine.take_uncounted());
    const outcome settled = is_listed ? outcome::queued : settle(mine);
    return is_crowded && settled == outcome::queued ? outcome::crowded : settled;
}

pool::outcome pool::settle(producer &mine) noexcept {
    mine.become_fenced();
    if (mine.is_listed.exchange(true, std::memory_order_seq_cst) || list(mine))
        return outcome::queued;
    // Closed, which left nothing behind but what it could not see: at most this one. But it, or a drain before it, may
    // have taken this one before this thread looked.
    data_->lock.lock();
    const bool is_left = mine.waiting() != 0;
    if (is_left)
        mine.take_back();
    mine.is_listed.store(false, std::memory_order_relaxed);
    data_->lock.unlock();
    return is_left ? outcome::refused : outcome::queued;
}

pool::outcome pool::push_single(object *reference, bool is_counted) noexcept {
    auto *one = static_cast<listed_single *>(std::malloc(sizeof(listed_single)));
    if (!one)
        return outcome::refused;
    one->single = reference;
    one->is_counted = is_counted;
    if (!list(*one)) {
        std::free(one);
        return outcome::refused;
    }
    return is_counted && add_waiting(1) ? outcome::crowded : outcome::queued;
}

listed *pool::take_list(uintptr_t leave_behind) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return nullptr;
    } while (!head_.compare_exchange_weak(head, leave_behind, std::memory_order_acquire, std::memory_order_relaxed));
    // The newest is on top; go on with what has waited longest.
    listed *oldest = nullptr;
    for (auto *one = reinterpret_cast<listed *>(head); one;) {
        listed *next = one->next;
        one->next = oldest;
        oldest = one;
        one = next;
    }
    return oldest;
}

// Returns `rest`, with those in front that were given something meanwhile.
listed *pool::unlist(producer *emptied, const producer *own, listed *rest) noexcept {
    bool needs_fence = false;
    for (producer *one = emptied; one; one = one->next_emptied) {
        one->is_listed.exchange(false, std::memory_order_seq_cst);
        needs_fence = needs_fence || (one != own && one->is_plain.load(std::memory_order_seq_cst));
    }
    // One for all. This thread is not between the two lines of a push of its own.
    if (needs_fence)
        heavy_fence();
    for (producer *one = emptied, *following; one; one = following) {
        following = one->next_emptied;
        if (one->pushed.load(std::memory_order_seq_cst) != one->taken.load(std::memory_order_relaxed)) {
            if (!one->is_listed.exchange(true, std::memory_order_seq_cst)) {
                one->next = rest;
                rest = one;
            }
        } else if (one->is_orphan) {
            unlink_and_free(*one);
        }
    }
    return rest;
}

void pool::note_waiting(const listed *all) noexcept {
    size_t waiting = 0;
    for (const listed *one = all; one; one = one->next)
        waiting += one->single ? 1 : static_cast<const producer *>(one)->waiting();
    size_t high = data_->high_water.load(std::memory_order_relaxed);
    while (waiting > high && !data_->high_water.compare_exchange_weak(high, waiting, std::memory_order_relaxed)) {
    }
}

size_t pool::take(object **references, size_t most, const producer *own) noexcept {
    data_->lock.lock();
    listed *rest = take_list(0);
    note_waiting(rest);
    producer *emptied = nullptr;
    size_t taken = 0, uncounted = 0;
    while (rest && taken < most) {
        listed *one = rest;
        rest = one->next;
        if (one->single) {
            references[taken++] = one->single;
            uncounted += !static_cast<listed_single *>(one)->is_counted;
            std::free(one);
            continue;
        }
        auto &from = *static_cast<producer *>(one);
        taken += from.take(references + taken, most - taken, data_->spares);
        if (from.waiting() == 0) {
            from.next_emptied = emptied;
            emptied = &from;
        } else {
            from.next = rest;
            rest = &from;
        }
    }
    data_->waiting.fetch_sub(static_cast<int64_t>(taken - uncounted), std::memory_order_relaxed);
    rest = unlist(emptied, own, rest);
    // Back into the list, the oldest first, so that it is on the bottom again. (It is open: closing takes the lock.)
    while (rest) {
        listed *one = rest;
        rest = one->next;
        list(*one);
    }
    data_->lock.unlock();
    return taken;
}

size_t pool::size() noexcept {
    size_t waiting = 0;
    data_->lock.lock();
    for (const producer *one = data_->producers; one; one = one->older)
        waiting += one->waiting();
    // Under the lock nobody takes anything out of the list, so it can be walked while others put something in front.
    uintptr_t head = head_.load(std::memory_order_acquire);
    for (auto *one = reinterpret_cast<const listed *>(head == closed ? 0 : head); one; one = one->next)
        waiting += one->single != nullptr;
    data_->lock.unlock();
    return waiting;
}

size_t pool::high_water() noexcept {
    // What waits falls only in a drain, and each looks how much there is before it begins.
    return std::max(size(), data_->high_water.load(std::memory_order_relaxed));
}

size_t pool::close() noexcept {
    size_t leaked = 0;
    data_->lock.lock();
    listed *rest = take_list(closed);
    note_waiting(rest);
    while (listed *one = rest) {
        rest = one->next;
        if (one->single) {
            ++leaked;
            std::free(one);
        }
    }
    // All producers, not those in the list alone: a thread may be about to list its own, with more in it than the one
    // it will be refused for. After the fence each push has been seen, or sees its producer unlisted, and the pool
    // closed.
    for (producer *one = data_->producers; one; one = one->older)
        one->is_listed.exchange(false, std::memory_order_seq_cst);
    heavy_fence();
    for (producer *one = data_->producers, *older; one; one = older) {
        older = one->older;
        object *forgotten[chunk::fewest];
        while (size_t part = one->take(forgotten, chunk::fewest, data_->spares))
            leaked += part;
        if (one->is_orphan)
            unlink_and_free(*one);
    }
    data_->lock.unlock();
    return leaked;
}

bool pool::restart() noexcept {
    data_->is_given_up = data_->lock.restart();
    if (!data_->is_given_up)
        return false;
    data_->producers = nullptr;
    data_->is_help_called.store(false, std::memory_order_relaxed);
    if (head_.load(std::memory_order_relaxed) != closed)
        head_.store(0, std::memory_order_relaxed);
    return true;
}

void pool::relist() noexcept {
    data_->is_given_up = false;
    // A thread that is not here may have been about to ask.
    data_->is_help_called.store(false, std::memory_order_relaxed);
    listed *singles = nullptr;
    for (listed *one = take_list(0), *next; one; one = next) {
        next = one->next;
        if (one->single) {
            one->next = singles;
            singles = one;
        }
    }
    int64_t waiting = 0;
    while (listed *one = singles) {
        singles = one->next;
        waiting += static_cast<listed_single *>(one)->is_counted;
        list(*one);
    }
    for (producer *one = data_->producers, *older; one; one = older) {
        older = one->older;
        const bool has_something = one->waiting() != 0;
        one->take_uncounted();
        waiting += static_cast<int64_t>(one->waiting());
        one->is_listed.store(has_something && list(*one), std::memory_order_relaxed);
        if (!has_something && one->is_orphan)
            unlink_and_free(*one);
    }
    data_->waiting.store(waiting, std::memory_order_relaxed);
}

} // namespace pyattach
