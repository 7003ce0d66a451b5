/* Shared owned: a reference to a Python object that any thread may copy. */
#ifndef PYATTACH_SHARED_OWNED_HPP
#define PYATTACH_SHARED_OWNED_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <utility>

#include "detail/shared_pointer.hpp"
#include "owned.hpp"

namespace pyattach {
inline namespace abi1 {

/* An owned whose copies need no token: they share one reference, and Python is not used for a copy. So it fits where
 * standard C++ copies: in a std::function, in containers, in the captures of a lambda.
 *
 *     shared_owned function = py.eval("print");
 *     std::function<void()> later = [function] { attached here; here.token().call(function); };
 *
 * The destructor of the last copy gives the reference back, as that of an owned does: on a thread that is attached to
 * the object's interpreter at once, which may run Python code; on any other thread, in any state, by way of the pool;
 * leaked and counted once the interpreter has ended. So destructors of Python objects run on the thread that destroyed
 * the last copy, or on one that attaches later, or on the library's own. Nothing here blocks.
 *
 * Copies may be used by different threads at once. One shared_owned that a thread changes while another one uses it
 * needs a lock, as any object. */
class shared_owned {
  public:
    /* Empty. */
    shared_owned() noexcept = default;
#if defined(__cpp_exceptions)
    /* Takes over the reference of `object`. An empty one gives an empty shared_owned. Throws std::bad_alloc if memory
     * is short; the reference is given back then. Runs no Python code otherwise. */
    shared_owned(owned object) : shared_owned(std::nothrow, std::move(object)) {
        if (!*this && object)
            throw std::bad_alloc();
    }
#endif
    /* The same without an exception: if memory is short, it is empty, and `object` keeps its reference. */
    shared_owned(std::nothrow_t, owned &&object) noexcept : block_(block::make(std::move(object))) {}

    /* The pointer; NULL if empty. Used only while attached to the interpreter of the object. */
    struct ::_object *get() const noexcept PYATTACH_LIFETIME_BOUND {
        return block_.get() ? block_.get()->object.get() : nullptr;
    }
    /* Whether there is an object. */
    explicit operator bool() const noexcept { return block_.get() != nullptr; }
    /* The interpreter of the object; NULL if empty. */
    pyattach_interpreter *interpreter() const noexcept {
        return block_.get() ? block_.get()->object.interpreter() : nullptr;
    }
    /* A reference of its own, as owned::copy. Requires that the thread is attached to the object's interpreter. */
    [[nodiscard]] owned copy(token py) const noexcept { return owned::borrow(py, get()); }

    /* Gives this copy up now, as the destructor would. May run Python code. */
    void reset() noexcept { shared_owned last(std::move(*this)); }
    /* Exchanges two; no count changes. */
    void swap(shared_owned &other) noexcept { block_.swap(other.block_); }
    friend void swap(shared_owned &left, shared_owned &right) noexcept { left.swap(right); }
    /* Whether both refer to the same object, or both are empty. Does not call Python's `==`. */
    friend bool operator==(const shared_owned &left, const shared_owned &right) noexcept {
        return left.get() == right.get();
    }
    friend bool operator!=(const shared_owned &left, const shared_owned &right) noexcept { return !(left == right); }

  private:
    struct block : detail::shared_block {
        explicit block(owned &&taken) noexcept : object(std::move(taken)) {}
        static block *make(owned &&taken) noexcept {
            return taken ? new (std::nothrow) block(std::move(taken)) : nullptr;
        }
        static void end(block *last) noexcept { delete last; }
        owned object;
    };

    detail::shared_pointer<block> block_;
};

inline object_arg::object_arg(const shared_owned &object) noexcept : object_(object.get()) {}

} // namespace abi1
} // namespace pyattach
#endif
