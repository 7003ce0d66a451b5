/* Borrowed: a Python object that somebody else keeps, on an attached thread. */
#ifndef PYATTACH_BORROWED_HPP
#define PYATTACH_BORROWED_HPP

#include "detail/cpp17.hpp"

#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* A pointer that needs a token to come into being, so who holds one is attached. It holds no reference: whoever does
 * must outlive it. Passed by value; never stored; detach() refuses to carry one. Empty only if made from NULL. */
class borrowed {
  public:
    /* Of an object that somebody else keeps. */
    borrowed(token, struct ::_object *object) noexcept : object_(object) {}
    inline borrowed(token, const owned &object PYATTACH_LIFETIME_BOUND) noexcept;
    /* The object would be gone at the end of the line. */
    borrowed(token, owned &&) = delete;

    /* The pointer; NULL if empty. */
    struct ::_object *get() const noexcept {
        return object_;
    }
    /* Whether there is an object. */
    explicit operator bool() const noexcept { return object_ != nullptr; }

  private:
    struct ::_object *object_;
};

inline object_arg::object_arg(borrowed object) noexcept : object_(object.get()) {}

} // namespace abi1
} // namespace pyattach
#endif
