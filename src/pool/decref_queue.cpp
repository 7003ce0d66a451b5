// What one thread gives back to one pool.
#include "pool/decref_queue.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

// So much waits that a fence of all threads, some microseconds at worst, is nothing beside it.
constexpr uint64_t plain_from = 4 * chunk::fewest;
// So many pushes make one write to a word that all threads share.
constexpr uint64_t count_from = 4 * chunk::fewest;

chunk *new_chunk(unsigned size) noexcept {
    const kept_errno kept;
    auto *fresh = static_cast<chunk *>(std::malloc(sizeof(chunk) + (chunk::fewest << size) * sizeof(object *)));
    if (fresh) {
        fresh->next = nullptr;
        fresh->size = size;
    }
    return fresh;
}

} // namespace

spare_chunks::~spare_chunks() {
    for (auto &one : of_size)
        std::free(one.load(std::memory_order_relaxed));
}

decref_queue *decref_queue::make() noexcept {
    void *memory = nullptr;
    if (posix_memalign(&memory, alignof(decref_queue), sizeof(decref_queue)) != 0)
        return nullptr;
    chunk *first = new_chunk(0);
    if (!first) {
        std::free(memory);
        return nullptr;
    }
    decref_queue *queue = new (memory) decref_queue();
    queue->head = queue->tail = first;
    queue->from = queue->at = first->begin();
    return queue;
}

void decref_queue::destroy(decref_queue *queue) noexcept {
    while (chunk *first = queue->head) {
        queue->head = first->next;
        std::free(first);
    }
    std::free(queue->spare.load(std::memory_order_relaxed));
    std::free(queue);
}

// Where an emptied chunk is kept; NULL: nowhere.
std::atomic<chunk *> *decref_queue::spare_of(unsigned size, spare_chunks &of_pool) noexcept {
    return size == 0 ? &spare : size + 1 < chunk::sizes ? &of_pool.of_size[size] : nullptr;
}

bool decref_queue::extend(spare_chunks &of_pool) noexcept {
    const uint64_t many = waiting();
    // As large as what waits, so that a burst asks the allocator seldom. (That of a thread other than the main one asks
    // the kernel for every page.)
    unsigned size = 0;
    while (size + 1 < chunk::sizes && chunk::fewest << (size + 1) <= many)
        ++size;
    std::atomic<chunk *> *kept = spare_of(size, of_pool);
    chunk *fresh = kept ? kept->exchange(nullptr, std::memory_order_acquire) : nullptr;
    if (!fresh)
        fresh = new_chunk(size);
    if (!fresh)
        return false;
    fresh->next = nullptr;
    tail->next = fresh;
    tail = fresh;
    at = fresh->begin();
    return true;
}

bool decref_queue::publish_fenced() noexcept {
    const uint64_t before = pushed.load(std::memory_order_relaxed);
#ifndef PYATTACH_TEST_SWAPPED
    pushed.exchange(before + 1, std::memory_order_seq_cst);
    pause_between();
    return in_pool_list.load(std::memory_order_seq_cst);
#else
    bool seen = in_pool_list.load(std::memory_order_seq_cst);
    pause_between();
    pushed.exchange(before + 1, std::memory_order_seq_cst);
    return seen;
#endif
}

bool decref_queue::push_fenced(object *reference, spare_chunks &of_pool, bool &was_in_pool_list,
                               bool &is_count_due) noexcept {
    is_count_due = at == tail->end();
    if (is_count_due && !extend(of_pool))
        return false;
    is_count_due = is_count_due && pushed.load(std::memory_order_relaxed) - counted >= count_from;
    *at++ = reference;
    was_in_pool_list = publish_fenced();
    if (is_plain.load(std::memory_order_relaxed))
        plain_end = tail->end();
    else if (waiting() >= plain_from && has_fast_heavy_fence())
        is_plain.store(true, std::memory_order_seq_cst); // from the push after next: see above
    return true;
}

void decref_queue::become_fenced() noexcept {
    plain_end = nullptr;
    is_plain.store(false, std::memory_order_relaxed);
}

void decref_queue::undo_push() noexcept {
    --at;
    pushed.store(pushed.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

size_t decref_queue::take(object **references, size_t most, spare_chunks &of_pool) noexcept {
    const size_t all = std::min<uint64_t>(waiting(), most);
    for (size_t left = all; left != 0;) {
        if (from == head->end()) {
            chunk *empty = head;
            head = empty->next;
            from = head->begin();
            std::atomic<chunk *> *kept = spare_of(empty->size, of_pool);
            std::free(kept ? kept->exchange(empty, std::memory_order_acq_rel) : empty);
        }
        const size_t part = std::min<size_t>(left, static_cast<size_t>(head->end() - from));
        references = std::copy_n(from, part, references);
        from += part;
        left -= part;
    }
    taken.store(taken.load(std::memory_order_relaxed) + all, std::memory_order_relaxed);
    return all;
}

} // namespace pyattach
