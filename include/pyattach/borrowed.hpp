/* Borrowed: a Python object that other code keeps alive, on an attached thread. */
#ifndef PYATTACH_BORROWED_HPP
#define PYATTACH_BORROWED_HPP

#include "detail/cpp17.hpp"

#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* A pointer that can be made only with a token, so the thread that uses one is attached. It holds no reference: the
 * owner of the reference must outlive it. It is passed by value and never stored; detach() refuses to pass one. It is
 * empty only if it was made from NULL. Nothing here blocks or runs Python code. */
class borrowed {
  public:
    /* Of an object that other code keeps alive. */
    borrowed(token, struct ::_object *object) noexcept : object_(object) {}
    inline borrowed(token, const owned &object PYATTACH_LIFETIME_BOUND) noexcept;
    /* Deleted, because the object would be released at the end of the full expression. */
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
