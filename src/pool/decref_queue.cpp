// Decref queue: the part that is not inline.
#include "pool/decref_queue.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

// With so many references waiting, a fence of all threads, some microseconds at worst, is nothing beside their release.
constexpr uint64_t plain_from = 4 * chunk::fewest;
// After so many pushes the owner adds them to the pool's count, which is a word that all threads share.
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
    for (std::atomic<chunk *> &spare : of_size)
        std::free(spare.load(std::memory_order_relaxed));
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
    queue->head_ = queue->tail_ = first;
    queue->next_take_ = queue->next_push_ = first->begin();
    return queue;
}

void decref_queue::destroy(decref_queue *queue) noexcept {
    while (chunk *first = queue->head_) {
        queue->head_ = first->next;
        std::free(first);
    }
    std::free(queue->spare_.load(std::memory_order_relaxed));
    std::free(queue);
}

// The place for an emptied chunk. NULL: chunks of this size are not kept.
std::atomic<chunk *> *decref_queue::spare_of(unsigned size, spare_chunks &spares) noexcept {
    return size == 0 ? &spare_ : size + 1 < chunk::sizes ? &spares.of_size[size] : nullptr;
}

bool decref_queue::extend(spare_chunks &spares) noexcept {
    // As large as what waits, so that a burst seldom calls the allocator. (The arena of a thread other than the main
    // one gets each page from the kernel.)
    const uint64_t waits = waiting();
    unsigned size = 0;
    while (size + 1 < chunk::sizes && chunk::fewest << (size + 1) <= waits)
        ++size;
    std::atomic<chunk *> *spare = spare_of(size, spares);
    chunk *fresh = spare ? spare->exchange(nullptr, std::memory_order_acquire) : nullptr;
    if (!fresh)
        fresh = new_chunk(size);
    if (!fresh)
        return false;
    fresh->next = nullptr;
    tail_->next = fresh;
    tail_ = fresh;
    next_push_ = fresh->begin();
    return true;
}

// Returns whether the queue was in the list after the push.
bool decref_queue::publish_fenced() noexcept {
    const uint64_t before = pushed_.load(std::memory_order_relaxed);
#ifndef PYATTACH_TEST_SWAPPED
    pushed_.exchange(before + 1, std::memory_order_seq_cst);
    pause_between();
    return in_pool_list_.load(std::memory_order_seq_cst);
#else
    bool was_in_list = in_pool_list_.load(std::memory_order_seq_cst);
    pause_between();
    pushed_.exchange(before + 1, std::memory_order_seq_cst);
    return was_in_list;
#endif
}

// After a fenced push.
void decref_queue::advance_mode() noexcept {
    if (is_plain_.load(std::memory_order_relaxed))
        plain_end_ = tail_->end();
    else if (waiting() >= plain_from && has_fast_heavy_fence())
        is_plain_.store(true, std::memory_order_seq_cst);
}

decref_queue::fenced_push decref_queue::push_fenced(object *reference, spare_chunks &spares,
                                                    bool &is_count_due) noexcept {
    const bool is_full = next_push_ == tail_->end();
    if (is_full && !extend(spares))
        return fenced_push::no_memory;
    is_count_due = is_full && pushed_.load(std::memory_order_relaxed) - counted_ >= count_from;
    *next_push_++ = reference;
    const bool is_in_list = publish_fenced();
    advance_mode();
    return is_in_list ? fenced_push::in_list : fenced_push::outside;
}

bool decref_queue::leave_closed_pool() noexcept {
    const bool is_undone = waiting() != 0;
    if (is_undone) {
        --next_push_;
        pushed_.store(pushed_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }
    in_pool_list_.store(false, std::memory_order_relaxed);
    return is_undone;
}

size_t decref_queue::take(object **references, size_t most, spare_chunks &spares) noexcept {
    const size_t all = std::min<uint64_t>(waiting(), most);
    for (size_t left = all; left != 0;) {
        if (next_take_ == head_->end()) {
            chunk *empty = head_;
            head_ = empty->next;
            next_take_ = head_->begin();
            std::atomic<chunk *> *spare = spare_of(empty->size, spares);
            std::free(spare ? spare->exchange(empty, std::memory_order_acq_rel) : empty);
        }
        const size_t part = std::min<size_t>(left, static_cast<size_t>(head_->end() - next_take_));
        references = std::copy_n(next_take_, part, references);
        next_take_ += part;
        left -= part;
    }
    taken_.store(taken_.load(std::memory_order_relaxed) + all, std::memory_order_relaxed);
    return all;
}

} // namespace pyattach
