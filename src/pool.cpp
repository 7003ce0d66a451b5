// References given back by threads that were not attached.
#include "pool.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace pyattach {
namespace {

uint64_t waiting_in(const producer &one) noexcept {
    return one.count.load(std::memory_order_acquire) & ~producer::orphan;
}

void free_chunks(producer &one) noexcept {
    while (chunk *first = one.head) {
        one.head = first->next;
        std::free(first);
    }
    std::free(one.spare.load(std::memory_order_relaxed));
}

} // namespace

pool::room::~room() {
    while (producer *one = producers) {
        producers = one->older;
        free_chunks(*one);
        std::free(one);
    }
}

producer *pool::add_producer() noexcept {
    void *memory = nullptr;
    if (posix_memalign(&memory, alignof(producer), sizeof(producer)) != 0)
        return nullptr;
    chunk *first = static_cast<chunk *>(std::malloc(sizeof(chunk)));
    if (!first) {
        std::free(memory);
        return nullptr;
    }
    first->next = nullptr;
    producer *one = new (memory) producer();
    one->head = one->tail = first;
    hold();
    one->older = room_->producers;
    if (room_->producers)
        room_->producers->newer = one;
    room_->producers = one;
    let_go();
    return one;
}

void pool::unlink_and_free(producer &one) noexcept {
    (one.newer ? one.newer->older : room_->producers) = one.older;
    if (one.older)
        one.older->newer = one.newer;
    free_chunks(one);
    std::free(&one);
}

void pool::remove(producer &one) noexcept {
    hold();
    unlink_and_free(one);
    let_go();
}

void pool::orphan(producer &one) noexcept {
    // Not empty: a drain finds it in the list, or has it in hand, and frees it when it is.
    if (one.count.fetch_or(producer::orphan, std::memory_order_acq_rel) == 0)
        remove(one);
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

bool pool::extend(producer &mine) noexcept {
    chunk *fresh = mine.spare.exchange(nullptr, std::memory_order_acquire);
    if (!fresh)
        fresh = static_cast<chunk *>(std::malloc(sizeof(chunk)));
    if (!fresh)
        return false;
    fresh->next = nullptr;
    mine.tail->next = fresh;
    mine.tail = fresh;
    mine.tail_at = 0;
    return true;
}

pool::outcome pool::settle(producer &mine, uint64_t before) noexcept {
    if (before == 0) {
        if (list(mine))
            return outcome::queued;
        mine.count.fetch_sub(1, std::memory_order_relaxed); // closed: nobody else looks at it any more
        return outcome::refused;
    }
    return before % crowd == crowd - 1 ? outcome::crowded : outcome::queued;
}

bool pool::push_single(object *reference) noexcept {
    auto *one = static_cast<listed *>(std::malloc(sizeof(listed)));
    if (!one)
        return false;
    one->single = reference;
    if (list(*one))
        return true;
    std::free(one);
    return false;
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

size_t pool::take_from(producer &one, object **references, size_t most) noexcept {
    const size_t taken = std::min<uint64_t>(waiting_in(one), most);
    for (size_t i = 0; i < taken; ++i) {
        if (one.head_at == chunk::slots) {
            chunk *empty = one.head;
            one.head = empty->next;
            one.head_at = 0;
            // One is kept for the thread, so that it need not allocate; the rest of a burst goes back at once.
            std::free(one.spare.exchange(empty, std::memory_order_acq_rel));
        }
        references[i] = one.head->slot[one.head_at++];
    }
    return taken;
}

void pool::note_waiting(const listed *all) noexcept {
    size_t waiting = 0;
    for (const listed *one = all; one; one = one->next)
        waiting += one->single ? 1 : waiting_in(*static_cast<const producer *>(one));
    size_t high = room_->high_water.load(std::memory_order_relaxed);
    while (waiting > high && !room_->high_water.compare_exchange_weak(high, waiting, std::memory_order_relaxed)) {
    }
}

size_t pool::take(object **references, size_t most) noexcept {
    // One drain at a time, and none across fork(): a producer's cursor and its count move together.
    hold();
    listed *rest = take_list(0);
    note_waiting(rest);
    size_t taken = 0;
    while (rest && taken < most) {
        listed *one = rest;
        rest = one->next;
        if (one->single) {
            references[taken++] = one->single;
            std::free(one);
            continue;
        }
        auto &from = *static_cast<producer *>(one);
        size_t part = take_from(from, references + taken, most - taken);
        taken += part;
        // From the moment the count is zero the producer is its thread's alone, or nobody's.
        uint64_t left = from.count.fetch_sub(part, std::memory_order_acq_rel) - part;
        if (left == producer::orphan)
            unlink_and_free(from);
        else if (left != 0) {
            from.next = rest;
            rest = &from;
        }
    }
    // Back into the list, the oldest first, so that it is on the bottom again. (Closed meanwhile: leaked and not
    // counted, as only an exit that timed out lets a drain run while it closes the pool.)
    while (rest) {
        listed *one = rest;
        rest = one->next;
        list(*one);
    }
    let_go();
    return taken;
}

size_t pool::size() noexcept {
    size_t waiting = 0;
    hold();
    for (const producer *one = room_->producers; one; one = one->older)
        waiting += waiting_in(*one);
    // Under the lock nobody takes anything out of the list, so it can be walked while others put something in front.
    uintptr_t head = head_.load(std::memory_order_acquire);
    for (auto *one = reinterpret_cast<const listed *>(head == closed ? 0 : head); one; one = one->next)
        waiting += one->single != nullptr;
    let_go();
    return waiting;
}

size_t pool::high_water() noexcept {
    // What waits falls only in a drain, and each looks how much there is before it begins.
    return std::max(size(), room_->high_water.load(std::memory_order_relaxed));
}

size_t pool::close() noexcept {
    size_t leaked = 0;
    hold();
    listed *rest = take_list(closed);
    note_waiting(rest);
    while (listed *one = rest) {
        rest = one->next;
        if (one->single) {
            ++leaked;
            std::free(one);
            continue;
        }
        auto &from = *static_cast<producer *>(one);
        object *forgotten[chunk::slots];
        uint64_t left;
        do {
            size_t part = take_from(from, forgotten, chunk::slots);
            leaked += part;
            left = from.count.fetch_sub(part, std::memory_order_acq_rel) - part;
        } while ((left & ~producer::orphan) != 0);
        if (left == producer::orphan)
            unlink_and_free(from);
    }
    let_go();
    return leaked;
}

void pool::relist() noexcept {
    listed *singles = nullptr;
    for (listed *one = take_list(0), *next; one; one = next) {
        next = one->next;
        if (one->single) {
            one->next = singles;
            singles = one;
        }
    }
    while (listed *one = singles) {
        singles = one->next;
        list(*one);
    }
    for (producer *one = room_->producers, *older; one; one = older) {
        older = one->older;
        if (waiting_in(*one))
            list(*one);
        else if (one->count.load(std::memory_order_relaxed) == producer::orphan)
            unlink_and_free(*one);
    }
}

} // namespace pyattach
