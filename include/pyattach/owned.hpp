/* Owned: a reference to a Python object that may be moved to and destroyed on any thread. */
#ifndef PYATTACH_OWNED_HPP
#define PYATTACH_OWNED_HPP

#include "detail/cpp17.hpp"

#include <utility>

#include "borrowed.hpp"
#include "pool.h"

namespace pyattach {
inline namespace abi1 {

/* An owned holds one reference. It may be moved between threads, and destroyed on any thread at any time: on a thread
 * that is attached to the object's interpreter the reference is released at once, which may run Python code (the
 * destructor of the object); on any other thread it is queued in the pool of that interpreter. An owned stores the
 * interpreter. It is empty after a move. A copy needs a token:
 *
 *     owned list = py.eval("[1, 2]");      owned second = list.copy(py);
 *
 * The pointer may be read on any thread, but used only while attached to the interpreter of the object. */
class owned {
  public:
    /* Empty. */
    owned() noexcept = default;

    /* Takes over the caller's reference to an object of the current interpreter. NULL gives an empty owned. */
    [[nodiscard]] static owned steal(token py, struct ::_object *object) noexcept {
        return owned(object, object ? py.interpreter() : nullptr);
    }
    /* Adds a reference. Returns an empty owned for NULL, and inside tp_traverse, where reference counts must not
     * change.
     */
    [[nodiscard]] static owned borrow(token py, object_arg object) noexcept {
        bool is_counted = pyattach_incref(object.get()) == PYATTACH_OK;
        return steal(py, is_counted ? object.get() : nullptr);
    }
    /* Returns another reference to the object. Requires that the thread is attached to the object's interpreter. */
    [[nodiscard]] owned copy(token py) const noexcept { return borrow(py, object_); }

    /* Takes over the reference of `other`, which is empty afterwards. */
    owned(owned &&other) noexcept
        : object_(std::exchange(other.object_, nullptr)), interpreter_(std::exchange(other.interpreter_, nullptr)) {}
    /* Takes over the new reference first and releases the old one last, because the destructor of the old object may
     * run Python code that reads *this. The same order makes assignment to itself safe. */
    owned &operator=(owned &&other) noexcept {
        owned incoming(std::move(other));
        swap(incoming);
        return *this;
    }

    owned(const owned &) = delete;
    owned &operator=(const owned &) = delete;
    ~owned() {
        if (object_)
            pyattach_decref_in(interpreter_, object_);
    }

    /* The pointer; NULL if empty. The reference stays with this owned. */
    struct ::_object *get() const noexcept PYATTACH_LIFETIME_BOUND {
        return object_;
    }
    /* Whether there is an object. */
    explicit operator bool() const noexcept { return object_ != nullptr; }
    /* The interpreter of the object; NULL if empty. */
    pyattach_interpreter *interpreter() const noexcept { return interpreter_; }

    /* Gives up the reference, which the caller owns from now on. */
    [[nodiscard]] struct ::_object *release() noexcept {
        interpreter_ = nullptr;
        return std::exchange(object_, nullptr);
    }
    /* Gives back the reference now, as the destructor would. May run Python code. */
    void reset() noexcept { owned last(std::move(*this)); }

    /* Exchanges the references of two; no count changes. */
    void swap(owned &other) noexcept {
        std::swap(object_, other.object_);
        std::swap(interpreter_, other.interpreter_);
    }
    friend void swap(owned &left, owned &right) noexcept { left.swap(right); }

  private:
    owned(struct ::_object *object, pyattach_interpreter *interpreter) noexcept
        : object_(object), interpreter_(interpreter) {}

    struct ::_object *object_ = nullptr;
    pyattach_interpreter *interpreter_ = nullptr;
};

inline object_arg::object_arg(const owned &object) noexcept : object_(object.get()) {}

inline borrowed::borrowed(token, const owned &object) noexcept : object_(object.get()) {}

} // namespace abi1
} // namespace pyattach
#endif
