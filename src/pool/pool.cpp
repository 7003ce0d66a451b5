// Pool: the part that is not inline.
#include "pool/pool.hpp"

#include <algorithm>
#include <cstdlib>

namespace pyattach {

pool::data::~data() {
    for (decref_queue &queue : decref_queues)
        decref_queue::destroy(&queue);
}

decref_queue *pool::add_queue() noexcept {
    decref_queue *queue = decref_queue::make();
    if (!queue)
        return nullptr;
    data_->lock.lock();
    data_->decref_queues.push_front(*queue);
    data_->lock.unlock();
    return queue;
}

void pool::unlink_and_free(decref_queue &queue) noexcept {
    data_->decref_queues.remove(queue);
    decref_queue::destroy(&queue);
}

bool pool::orphan(decref_queue &queue) noexcept {
    data_->lock.lock();
    const bool is_over_mark = add_waiting(queue.take_uncounted());
    if (!queue.orphan())
        unlink_and_free(queue);
    data_->lock.unlock();
    return is_over_mark;
}

// False: the pool is closed.
bool pool::link(pool_entry &entry) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return false;
        entry.next = reinterpret_cast<pool_entry *>(head);
    } while (!head_.compare_exchange_weak(head, reinterpret_cast<uintptr_t>(&entry), std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    return true;
}

pool::outcome pool::finish_push(decref_queue &queue, object *reference, unfinished step) noexcept {
    if (step == unfinished::listing)
        return enlist(queue);
    bool is_count_due;
    const decref_queue::fenced_push pushed = queue.push_fenced(reference, data_->spares, is_count_due);
    if (pushed == decref_queue::fenced_push::no_memory)
        return outcome::refused;
    const bool is_over_mark = is_count_due && add_waiting(queue.take_uncounted());
    const outcome enlisted = pushed == decref_queue::fenced_push::in_list ? outcome::queued : enlist(queue);
    return is_over_mark && enlisted != outcome::refused ? outcome::over_mark : enlisted;
}

// By the owner, whose push found the queue outside the list.
pool::outcome pool::enlist(decref_queue &queue) noexcept {
    queue.become_fenced();
    if (!queue.enter_list())
        return outcome::queued;
    if (link(queue))
        return outcome::listed;
    // The pool is closed. The closing left nothing in the queue but what it could not read, which is at most the last
    // push. A drain, or the closing, may also have taken this one before the owner read the flag.
    data_->lock.lock();
    const bool is_undone = queue.leave_closed_pool();
    data_->lock.unlock();
    return is_undone ? outcome::refused : outcome::queued;
}

pool::outcome pool::push_single(object *reference, bool is_counted) noexcept {
    auto *entry = static_cast<single_entry *>(std::malloc(sizeof(single_entry)));
    if (!entry)
        return outcome::refused;
    entry->single = reference;
    entry->is_counted = is_counted;
    if (!link(*entry)) {
        std::free(entry);
        return outcome::refused;
    }
    return is_counted && add_waiting(1) ? outcome::over_mark : outcome::listed;
}

// Empty if the pool is closed.
pool_entry *pool::take_list(uintptr_t new_head) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return nullptr;
    } while (!head_.compare_exchange_weak(head, new_head, std::memory_order_acquire, std::memory_order_relaxed));
    // The newest entry is on top. The result begins with the oldest.
    pool_entry *oldest = nullptr;
    for (auto *entry = reinterpret_cast<pool_entry *>(head); entry;) {
        pool_entry *next = entry->next;
        entry->next = oldest;
        oldest = entry;
        entry = next;
    }
    return oldest;
}

// Returns `rest`, preceded by the queues that their owners pushed into meanwhile.
pool_entry *pool::delist(decref_queue *emptied, const decref_queue *own, pool_entry *rest) noexcept {
    bool needs_fence = false;
    for (decref_queue *queue = emptied; queue; queue = queue->next_emptied) {
        const bool may_be_plain = queue->leave_list();
        needs_fence = needs_fence || (queue != own && may_be_plain);
    }
    // One fence for all queues. `own` needs none, because its owner is this thread, which is not within a push.
    if (needs_fence)
        heavy_fence();
    for (decref_queue *queue = emptied, *following; queue; queue = following) {
        following = queue->next_emptied;
        if (!queue->is_empty_outside()) {
            if (queue->enter_list()) {
                queue->next = rest;
                rest = queue;
            }
        } else if (queue->is_orphan()) {
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
        auto &queue = *static_cast<decref_queue *>(entry);
        taken += queue.take(references + taken, most - taken, data_->spares);
        if (queue.waiting() == 0) {
            queue.next_emptied = emptied;
            emptied = &queue;
        } else {
            queue.next = rest;
            rest = &queue;
        }
    }
    data_->waiting.fetch_sub(static_cast<int64_t>(taken - uncounted), std::memory_order_relaxed);
    rest = delist(emptied, own, rest);
    // Back into the list, the oldest first, so that it is at the bottom again. The pool is open, because closing takes
    // the lock.
    while (rest) {
        pool_entry *entry = rest;
        rest = entry->next;
        link(*entry);
    }
    data_->lock.unlock();
    return taken;
}

size_t pool::size() noexcept {
    size_t waiting = 0;
    data_->lock.lock();
    for (const decref_queue &queue : data_->decref_queues)
        waiting += queue.waiting();
    // Under the lock no thread takes entries out of the list, so it can be read while owners link entries in front.
    uintptr_t head = head_.load(std::memory_order_acquire);
    for (auto *entry = reinterpret_cast<const pool_entry *>(head == closed ? 0 : head); entry; entry = entry->next)
        waiting += entry->single != nullptr;
    data_->lock.unlock();
    return waiting;
}

size_t pool::high_water() noexcept {
    // What waits only becomes less in a drain, and each drain notes how much waits before it begins.
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
    // All queues, and not only those in the list: an owner may be about to link its queue, which may hold more than the
    // one reference that the owner is refused. After the fence each push is either read here, or its owner reads that
    // the queue is outside the list, and then that the pool is closed.
    for (decref_queue &queue : data_->decref_queues)
        queue.leave_list();
    heavy_fence();
    for (decref_queue &queue : data_->decref_queues) {
        object *forgotten[chunk::fewest];
        while (size_t part = queue.take(forgotten, chunk::fewest, data_->spares))
            leaked += part;
        if (queue.is_orphan())
            unlink_and_free(queue);
    }
    data_->lock.unlock();
    return leaked;
}

bool pool::restart() noexcept {
    data_->is_given_up = data_->lock.restart();
    if (!data_->is_given_up)
        return false;
    data_->decref_queues.forget_all();
    data_->is_drain_scheduled.store(false, std::memory_order_relaxed);
    if (head_.load(std::memory_order_relaxed) != closed)
        head_.store(0, std::memory_order_relaxed);
    return true;
}

void pool::relist() noexcept {
    data_->is_given_up = false;
    // A thread that is not in the child may have set this and not yet called CPython.
    data_->is_drain_scheduled.store(false, std::memory_order_relaxed);
    pool_entry *singles = nullptr;
    for (pool_entry *entry = take_list(0), *next; entry; entry = next) {
        next = entry->next;
        if (entry->single) {
            entry->next = singles;
            singles = entry;
        }
    }
    int64_t counted = 0;
    while (pool_entry *entry = singles) {
        singles = entry->next;
        counted += static_cast<single_entry *>(entry)->is_counted;
        link(*entry);
    }
    for (decref_queue &queue : data_->decref_queues) {
        const uint64_t waiting = queue.waiting();
        queue.take_uncounted();
        counted += static_cast<int64_t>(waiting);
        queue.set_place_in_child(waiting != 0 && link(queue));
        if (waiting == 0 && queue.is_orphan())
            unlink_and_free(queue);
    }
    data_->waiting.store(counted, std::memory_order_relaxed);
}

} // namespace pyattach
