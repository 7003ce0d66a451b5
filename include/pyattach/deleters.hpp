/* Deleters: for std::unique_ptr and std::shared_ptr to what must be given back or deleted attached. */
#ifndef PYATTACH_DELETERS_HPP
#define PYATTACH_DELETERS_HPP

#include "detail/cpp17.hpp"

#include <memory>
#include <new>
#include <utility>

#include "attached_only.hpp"
#include "detail/misuse.hpp"
#include "pool.h"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* Gives a reference to a Python object back, on any thread at any time, as the destructor of an owned does:
 *
 *     std::unique_ptr<PyObject, decref_deleter> list(PyList_New(0), decref_deleter{py});
 *     std::shared_ptr<PyObject> shared(PyList_New(0), decref_deleter{py});
 *
 * On a thread that is attached to the object's interpreter, the reference is released at once, which may run Python
 * code; else it is queued in the pool. Does not block. May be copied and used on any thread. */
class decref_deleter {
  public:
    /* For a pointer that is empty yet, or where the rule of pyattach_decref finds the interpreter. */
    decref_deleter() noexcept = default;
    /* For objects of the interpreter to which the thread is attached. */
    explicit decref_deleter(token py) noexcept : interpreter_(py.interpreter()) {}

    /* NULL is ignored. */
    void operator()(struct ::_object *object) const noexcept { pyattach_decref_in(interpreter_, object); }

  private:
    pyattach_interpreter *interpreter_ = nullptr;
};

/* Deletes a T on an attached thread, wherever the last pointer to it is destroyed:
 *
 *     std::unique_ptr<session, attached_deleter<session>> one(new session, attached_deleter<session>{py});
 *     std::shared_ptr<session> shared(new session, attached_deleter<session>{py});
 *
 * When and on which thread is as for the value of an attached_only: at once if the thread is attached to the
 * interpreter in which the deleter was made; else by way of the pool; never, but counted, if that interpreter has
 * ended. Nothing here blocks, but what the destructor of the T does. `Delete` is called instead of `delete` if given;
 * it must not throw.
 *
 * What a detached thread deletes an object with is made beforehand, while attached, and serves once. A deleter that has
 * been used on a detached thread, that was moved from, or that is empty aborts with a sentence if it is given another
 * object. So a unique_ptr that is emptied on a detached thread gets a new deleter with its next object. Not to be used
 * on two threads at once. */
template <class T, class Delete = std::default_delete<T>> class attached_deleter {
  public:
    /* For a pointer that is empty yet. */
    attached_deleter() noexcept = default;
#if defined(__cpp_exceptions)
    /* For an object that needs the interpreter to which the thread is attached. Throws as attached_only does. */
    explicit attached_deleter(token py, Delete deleter = Delete()) : last_(py, deletion(std::move(deleter))) {}
#endif
    /* The same without an exception: it is empty if memory is short, so test it before an object depends on it. */
    attached_deleter(std::nothrow_t, token py, Delete deleter = Delete()) noexcept
        : last_(std::nothrow, py, deletion(std::move(deleter))) {}
    attached_deleter(attached_deleter &&) noexcept = default;
    attached_deleter &operator=(attached_deleter &&) noexcept = default;
    attached_deleter(const attached_deleter &) = delete;
    attached_deleter &operator=(const attached_deleter &) = delete;

    /* Whether it can delete an object. */
    explicit operator bool() const noexcept { return static_cast<bool>(last_); }

    /* NULL is ignored. */
    void operator()(T *object) noexcept {
        if (!object)
            return;
        if (!last_)
            detail::misuse("attached_deleter: this deleter is empty, or has been used on a detached thread.",
                           "A deleter serves one object there.",
                           "Make a new pointer, with a deleter of its own, instead of resetting the old one.");
        if (last_.is_home()) {
            last_.value()->deleter(object);
            return;
        }
        last_.value()->object = object;
        last_.reset();
    }

  private:
    struct deletion {
        explicit deletion(Delete &&given) noexcept : deleter(std::move(given)) {}
        deletion(deletion &&other) noexcept
            : object(std::exchange(other.object, nullptr)), deleter(std::move(other.deleter)) {}
        ~deletion() {
            if (object)
                deleter(object);
        }
        T *object = nullptr;
        Delete deleter;
    };

    attached_only<deletion> last_;
};

} // namespace abi1
} // namespace pyattach
#endif
