/* Owned: a reference to a Python object that may go anywhere and end anywhere. */
#ifndef PYATTACH_OWNED_HPP
#define PYATTACH_OWNED_HPP

#include "detail/cpp17.hpp"

#include <utility>

#include "borrowed.hpp"
#include "pool.h"

namespace pyattach {
inline namespace abi1 {

/* Moved freely between threads, and destroyed on any of them at any time: attached, the reference is released at once;
 * elsewhere it waits in the pool of its interpreter, which it knows. Empty after a move. Copies are made in words, with
 * a token:
 *
 *     owned list = py.eval("[1, 2]");      owned second = list.copy(py);
 *
 * The pointer it holds may be looked at anywhere, but used only while attached to its interpreter. */
class owned {
  public:
    /* Empty. */
    owned() noexcept = default;

    /* Takes over the caller's reference. NULL gives an empty one. */
    [[nodiscard]] static owned steal(token py, struct ::_object *object) noexcept {
        return owned(object, object ? py.interpreter() : nullptr);
    }
    /* Adds a reference. NULL gives an empty one, as does a thread that may not count references now, inside
     * tp_traverse. */
    [[nodiscard]] static owned borrow(token py, object_arg object) noexcept {
        bool is_counted = pyattach_incref(object.get()) == PYATTACH_OK;
        return steal(py, is_counted ? object.get() : nullptr);
    }
    /* Requires that `py` is attached to the interpreter of the object. */
    [[nodiscard]] owned copy(token py) const noexcept { return borrow(py, object_); }

    /* Takes the reference of the other, which is empty then. */
    owned(owned &&other) noexcept
        : object_(std::exchange(other.object_, nullptr)), interpreter_(std::exchange(other.interpreter_, nullptr)) {}
    /* Takes the new one in first and releases the old one last: its destructor may run Python that looks at *this. The
     * same order makes it survive being assigned to itself. */
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

    /* The pointer; NULL if empty. The reference stays with this. */
    struct ::_object *get() const noexcept PYATTACH_LIFETIME_BOUND {
        return object_;
    }
    /* Whether there is an object. */
    explicit operator bool() const noexcept { return object_ != nullptr; }
    /* The one whose object it is; NULL if empty. */
    pyattach_interpreter *interpreter() const noexcept { return interpreter_; }

    /* Gives up the reference, which is the caller's from now on. */
    [[nodiscard]] struct ::_object *release() noexcept {
        interpreter_ = nullptr;
        return std::exchange(object_, nullptr);
    }
    /* Gives the reference back now, as the destructor would. */
    void reset() noexcept { owned last(std::move(*this)); }

    /* Exchanges two; nothing is counted. */
    void swap(owned &other) noexcept {
        std::swap(object_, other.object_);
        std::swap(interpreter_, other.interpreter_);
    }
    friend void swap(owned &one, owned &other) noexcept { one.swap(other); }

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
