/* Shared pointer: counts the copies that share one block, on any thread, without Python. */
#ifndef PYATTACH_DETAIL_SHARED_POINTER_HPP
#define PYATTACH_DETAIL_SHARED_POINTER_HPP

#include "cpp17.hpp"

#include <atomic>
#include <cstddef>
#include <utility>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* The count at the head of a block. The block has `static void end(Block *)`, which the last pointer to it calls. */
struct shared_block {
    std::atomic<std::size_t> pointers{1};
};

/* Not std::shared_ptr, because that cannot report that memory is short without an exception. The size of one pointer.
 */
template <class Block> class shared_pointer {
  public:
    shared_pointer() noexcept = default;
    /* Takes over the first count of a block that was just made; NULL gives an empty pointer. */
    explicit shared_pointer(Block *made) noexcept : block_(made) {}
    shared_pointer(const shared_pointer &other) noexcept : block_(other.block_) {
        /* Relaxed: `other` keeps the block alive meanwhile. */
        if (block_)
            block_->pointers.fetch_add(1, std::memory_order_relaxed);
    }
    shared_pointer(shared_pointer &&other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    /* By value: the old block ends last, because its end may run Python code that reads *this. */
    shared_pointer &operator=(shared_pointer other) noexcept {
        swap(other);
        return *this;
    }
    ~shared_pointer() {
        /* Acquire and release: every access of another pointer's owner happens before the end. */
        if (block_ && block_->pointers.fetch_sub(1, std::memory_order_acq_rel) == 1)
            Block::end(block_);
    }

    Block *get() const noexcept { return block_; }
    void swap(shared_pointer &other) noexcept { std::swap(block_, other.block_); }

  private:
    Block *block_ = nullptr;
};

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
