/* Attached only: a C++ value that is destroyed on an attached thread, wherever its owner is. */
#ifndef PYATTACH_ATTACHED_ONLY_HPP
#define PYATTACH_ATTACHED_ONLY_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <type_traits>
#include <utility>

#include "call.h"
#include "detail/shared_pointer.hpp"
#include "owned.hpp"
#include "python_error.hpp"

namespace pyattach {
inline namespace abi1 {

/* For values that hold references of another library, whose destructors need an attached thread: a py::object of
 * pybind11, a nb::object, a struct of them. It may be copied, moved and destroyed on any thread, attached or not.
 * Copies share the value, as those of a std::shared_ptr do.
 *
 *     struct listener { py::function function; py::dict options; };
 *     attached_only<listener> kept{py, listener{function, options}};
 *     std::function<void()> later = [kept] {
 *         attached here{std::nothrow, kept.interpreter()};
 *         if (here)
 *             kept.get(here.token())->function();
 *     };
 *
 * The last copy destroys the value: at once on a thread that is attached to the value's interpreter; from any other
 * thread by way of the pool, on a thread that attaches later or on the library's own. Where the interpreter has ended
 * the value is leaked, with all that it holds, and counted (drops_leaked of pyattach_stats): its destructor never runs.
 * So a destructor whose work must be done is no matter for an attached_only. It must not throw. Nothing here blocks,
 * but what the destructor of the value does.
 *
 * Copies may be used by different threads at once; what they share needs a lock as any object, and a thread has to be
 * attached to reach it. */
template <class T> class attached_only {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "attached_only: a value of its own; for a pointer to one use a deleter of deleters.hpp");

  public:
    /* Empty. */
    attached_only() noexcept = default;
#if defined(__cpp_exceptions)
    /* Moves `value` in. Its interpreter is the one to which the thread is attached. Throws std::bad_alloc if memory is
     * short, and python_error if Python's is. */
    attached_only(token py, T value) {
        pyattach_status status = make(py, std::move(value));
        if (status == PYATTACH_NO_MEMORY)
            throw std::bad_alloc();
        detail::require(py, status);
    }
#endif
    /* The same without an exception: it is empty if memory is short or the thread is inside tp_traverse, no exception
     * is pending then, and the value is destroyed. */
    attached_only(std::nothrow_t, token py, T value) noexcept {
        if (make(py, std::move(value)) == PYATTACH_PYTHON_ERROR)
            pyattach_error_clear();
    }

    /* The value, which copies share; NULL if empty. The token proves that the thread is attached; it has to be attached
     * to the value's interpreter. */
    T *get(token) const noexcept PYATTACH_LIFETIME_BOUND { return block_.get() ? value() : nullptr; }
    /* Whether there is a value. */
    explicit operator bool() const noexcept { return block_.get() != nullptr; }
    /* The interpreter of the value; NULL if empty. */
    pyattach_interpreter *interpreter() const noexcept {
        return block_.get() ? block_.get()->finalizer.interpreter() : nullptr;
    }

    /* Gives this copy up now, as the destructor would. */
    void reset() noexcept { attached_only last(std::move(*this)); }
    /* Exchanges two. */
    void swap(attached_only &other) noexcept { block_.swap(other.block_); }
    friend void swap(attached_only &left, attached_only &right) noexcept { left.swap(right); }

  private:
    template <class U, class Delete> friend class attached_deleter;

    static bool is_attached_to(pyattach_interpreter *home) noexcept {
        return pyattach_is_attached() && pyattach_interpreter_current() == home;
    }
    bool is_home() const noexcept { return is_attached_to(interpreter()); }
    T *value() const noexcept { return &block_.get()->value; }

    /* `finalizer` is a Python object that frees the block at its end. So a value that cannot be destroyed at once takes
     * the way of every reference: the pool, and the leak once the interpreter has ended. */
    struct block : detail::shared_block {
        explicit block(T &&taken) : value(std::move(taken)) {}
        ~block() {
            if (has_value)
                value.~T();
        }
        static void end(block *last) noexcept {
            owned last_reference = std::move(last->finalizer);
            /* The value is destroyed before the finalizer is released: free-threaded, Python leaves an object to the
             * thread that made it. */
            if (is_attached_to(last_reference.interpreter())) {
                last->has_value = false;
                last->value.~T();
            }
        }
        static void free(void *last) noexcept { delete static_cast<block *>(last); }

        owned finalizer;
        bool has_value = true;
        union {
            T value;
        };
    };

    pyattach_status make(token py, T &&value) {
        block *made = new (std::nothrow) block(std::move(value));
        if (!made)
            return PYATTACH_NO_MEMORY;
        struct ::_object *finalizer = nullptr;
        pyattach_status status = pyattach_from_finalizer(block::free, made, &finalizer);
        if (status == PYATTACH_OK) {
            made->finalizer = owned::steal(py, finalizer);
            block_ = detail::shared_pointer<block>(made);
        } else {
            delete made;
        }
        return status;
    }

    detail::shared_pointer<block> block_;
};

} // namespace abi1
} // namespace pyattach
#endif
