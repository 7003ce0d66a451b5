// References given back by threads that were not attached.
#include "pool/pool.hpp"

#include <algorithm>
#include <cstdlib>

namespace pyattach {

pool::data::~data() {
    while (decref_queue *queue = decref_queues) {
        decref_queues = queue->older;
        decref_queue::destroy(queue);
    }
}

decref_queue *pool::add_queue() noexcept {
    decref_queue *queue = decref_queue::make();
    if (!queue)
        return nullptr;
    data_->lock.lock();
    queue->older = data_->decref_queues;
    if (data_->decref_queues)
        data_->decref_queues->newer = queue;
    data_->decref_queues = queue;
    data_->lock.unlock();
    return queue;
}

void pool::unlink_and_free(decref_queue &queue) noexcept {
    (queue.newer ? queue.newer->older : data_->decref_queues) = queue.older;
    if (queue.older)
        queue.older->newer = queue.newer;
    decref_queue::destroy(&queue);
}

bool pool::orphan(decref_queue &queue) noexcept {
    data_->lock.lock();
    const bool is_over_mark = add_waiting(queue.take_uncounted());
    // Listed: a drain finds it in the list, and frees it when it is empty.
    if (queue.in_pool_list.load(std::memory_order_relaxed))
        queue.is_orphan = true;
    else
        unlink_and_free(queue);
    data_->lock.unlock();
    return is_over_mark;
}

bool pool::list(pool_entry &entry) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return false;
        entry.next = reinterpret_cast<pool_entry *>(head);
    } while (!head_.compare_exchange_weak(head, reinterpret_cast<uintptr_t>(&entry), std::memory_order_release,
                                          std::memory_order_relaxed));
    return true;
}

pool::outcome pool::push_fenced(decref_queue &queue, object *reference) noexcept {
    bool in_pool_list, is_count_due;
    if (!queue.push_fenced(reference, data_->spares, in_pool_list, is_count_due))
        return outcome::refused;
    const bool is_over_mark = is_count_due && add_waiting(queue.take_uncounted());
    const outcome enlisted = in_pool_list ? outcome::queued : enlist(queue);
    return is_over_mark && enlisted == outcome::queued ? outcome::crowded : enlisted;
}

pool::outcome pool::enlist(decref_queue &queue) noexcept {
    queue.become_fenced();
    if (queue.in_pool_list.exchange(true, std::memory_order_seq_cst) || list(queue))
        return outcome::queued;
    // Closed, which left nothing behind but what it could not see: at most this one. But it, or a drain before it, may
    // have taken this one before this thread looked.
    data_->lock.lock();
    const bool is_left = queue.waiting() != 0;
    if (is_left)
        queue.undo_push();
    queue.in_pool_list.store(false, std::memory_order_relaxed);
    data_->lock.unlock();
    return is_left ? outcome::refused : outcome::queued;
}

pool::outcome pool::push_single(object *reference, bool is_counted) noexcept {
    auto *one = static_cast<single_entry *>(std::malloc(sizeof(single_entry)));
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

pool_entry *pool::take_list(uintptr_t leave_behind) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return nullptr;
    } while (!head_.compare_exchange_weak(head, leave_behind, std::memory_order_acquire, std::memory_order_relaxed));
    // The newest is on top; go on with what has waited longest.
    pool_entry *oldest = nullptr;
    for (auto *one = reinterpret_cast<pool_entry *>(head); one;) {
        pool_entry *next = one->next;
        one->next = oldest;
        oldest = one;
        one = next;
    }
    return oldest;
}

// Returns `rest`, with those in front that were given something meanwhile.
pool_entry *pool::delist(decref_queue *emptied, const decref_queue *own, pool_entry *rest) noexcept {
    bool needs_fence = false;
    for (decref_queue *queue = emptied; queue; queue = queue->next_emptied) {
        queue->in_pool_list.exchange(false, std::memory_order_seq_cst);
        needs_fence = needs_fence || (queue != own && queue->is_plain.load(std::memory_order_seq_cst));
    }
    // One for all. This thread is not between the two lines of a push of its own.
    if (needs_fence)
        heavy_fence();
    for (decref_queue *queue = emptied, *following; queue; queue = following) {
        following = queue->next_emptied;
        if (queue->pushed.load(std::memory_order_seq_cst) != queue->taken.load(std::memory_order_relaxed)) {
            if (!queue->in_pool_list.exchange(true, std::memory_order_seq_cst)) {
                queue->next = rest;
                rest = queue;
            }
        } else if (queue->is_orphan) {
            unlink_and_free(*queue);
        }
    }
    return rest;
}

void pool::note_waiting(const pool_entry *all) noexcept {
    size_t waiting = 0;
    for (const pool_entry *entry = all; entry; entry = entry->next)
        waiting += entry->single ? 1 : static_cast<const decref_queue *>(entry)->waiting();
    size_t high = data_->high_water.load(std::memory_order_relaxed);
    while (waiting > high && !data_->high_water.compare_exchange_weak(high, waiting, std::memory_order_relaxed)) {
    }
}

size_t pool::take(object **references, size_t most, const decref_queue *own) noexcept {
    data_->lock.lock();
    pool_entry *rest = take_list(0);
    note_waiting(rest);
    decref_queue *emptied = nullptr;
    size_t taken = 0, uncounted = 0;
    while (rest && taken < most) {
        pool_entry *entry = rest;
        rest = entry->next;
        if (entry->single) {
            references[taken++] = entry->single;
            uncounted += !static_cast<single_entry *>(entry)->is_counted;
            std::free(entry);
            continue;
        }
        auto &from = *static_cast<decref_queue *>(entry);
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
    rest = delist(emptied, own, rest);
    // Back into the list, the oldest first, so that it is on the bottom again. (It is open: closing takes the lock.)
    while (rest) {
        pool_entry *entry = rest;
        rest = entry->next;
        list(*entry);
    }
    data_->lock.unlock();
    return taken;
}

size_t pool::size() noexcept {
    size_t waiting = 0;
    data_->lock.lock();
    for (const decref_queue *queue = data_->decref_queues; queue; queue = queue->older)
        waiting += queue->waiting();
    // Under the lock nobody takes anything out of the list, so it can be walked while others put something in front.
    uintptr_t head = head_.load(std::memory_order_acquire);
    for (auto *one = reinterpret_cast<const pool_entry *>(head == closed ? 0 : head); one; one = one->next)
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
    pool_entry *rest = take_list(closed);
    note_waiting(rest);
    while (pool_entry *entry = rest) {
        rest = entry->next;
        if (entry->single) {
            ++leaked;
            std::free(entry);
        }
    }
    // All decref_queues, not those in the list alone: a thread may be about to list its own, with more in it than the
    // one it will be refused for. After the fence each push has been seen, or sees its decref_queue unlisted, and the
    // pool closed.
    for (decref_queue *queue = data_->decref_queues; queue; queue = queue->older)
        queue->in_pool_list.exchange(false, std::memory_order_seq_cst);
    heavy_fence();
    for (decref_queue *queue = data_->decref_queues, *older; queue; queue = older) {
        older = queue->older;
        object *forgotten[chunk::fewest];
        while (size_t part = queue->take(forgotten, chunk::fewest, data_->spares))
            leaked += part;
        if (queue->is_orphan)
            unlink_and_free(*queue);
    }
    data_->lock.unlock();
    return leaked;
}

bool pool::restart() noexcept {
    data_->is_given_up = data_->lock.restart();
    if (!data_->is_given_up)
        return false;
    data_->decref_queues = nullptr;
    data_->is_drain_scheduled.store(false, std::memory_order_relaxed);
    if (head_.load(std::memory_order_relaxed) != closed)
        head_.store(0, std::memory_order_relaxed);
    return true;
}

void pool::relist() noexcept {
    data_->is_given_up = false;
    // A thread that is not here may have been about to ask.
    data_->is_drain_scheduled.store(false, std::memory_order_relaxed);
    pool_entry *singles = nullptr;
    for (pool_entry *entry = take_list(0), *next; entry; entry = next) {
        next = entry->next;
        if (entry->single) {
            entry->next = singles;
            singles = entry;
        }
    }
    int64_t waiting = 0;
    while (pool_entry *entry = singles) {
        singles = entry->next;
        waiting += static_cast<single_entry *>(entry)->is_counted;
        list(*entry);
    }
    for (decref_queue *queue = data_->decref_queues, *older; queue; queue = older) {
        older = queue->older;
        const bool has_something = queue->waiting() != 0;
        queue->take_uncounted();
        waiting += static_cast<int64_t>(queue->waiting());
        queue->in_pool_list.store(has_something && list(*queue), std::memory_order_relaxed);
        if (!has_something && queue->is_orphan)
            unlink_and_free(*queue);
    }
    data_->waiting.store(waiting, std::memory_order_relaxed);
}

} // namespace pyattach
