/* Python error: an exception of Python's, as one of C++. */
#ifndef PYATTACH_PYTHON_ERROR_HPP
#define PYATTACH_PYTHON_ERROR_HPP

#include "detail/cpp17.hpp"

#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include "call.h"
#include "owned.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* What all copies of one python_error share. The text follows it in memory. */
class raised {
  public:
    /* Takes the pending exception and its text; NULL if memory is short, and then the exception is dropped. */
    static raised *take(token py) noexcept {
        /* The text first, while the exception is pending. Longer ones are asked for again. */
        char first[200];
        std::size_t size = pyattach_error_message(first, sizeof first) + 1;
        void *memory = ::operator new(sizeof(raised) + size, std::nothrow);
        if (!memory) {
            pyattach_error_clear();
            return nullptr;
        }
        char *text = static_cast<char *>(memory) + sizeof(raised);
        if (size <= sizeof first)
            std::memcpy(text, first, size);
        else
            pyattach_error_message(text, size);
        struct ::_object *exception = nullptr;
        pyattach_error_take(&exception);
        return ::new (memory) raised(owned::steal(py, exception));
    }

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() noexcept {
        /* Acquire and release: what the other owners did with it has happened before it is destroyed. */
        if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
            return;
        this->~raised();
        ::operator delete(this);
    }

    const char *text() const noexcept { return reinterpret_cast<const char *>(this + 1); }
    const owned &exception() const noexcept { return exception_; }

  private:
    explicit raised(owned exception) noexcept : exception_(std::move(exception)) {}

    std::atomic<std::size_t> references_{1};
    owned exception_;
};

} // namespace detail

/* Takes the exception that is pending in Python, with its traceback; nothing is pending afterwards. Copies share it. It
 * may be copied, looked at with what(), and destroyed on any thread, attached or not. */
class PYATTACH_VISIBLE python_error : public error {
  public:
    /* Without a pending exception, where a function of Python's failed but did not say why: what() is "SystemError:
     * ..." then. */
    explicit python_error(token py) noexcept : error(PYATTACH_PYTHON_ERROR), raised_(detail::raised::take(py)) {}

    /* Copies share the exception. */
    python_error(const python_error &other) noexcept : error(other), raised_(other.raised_) {
        if (raised_)
            raised_->add_reference();
    }
    python_error &operator=(const python_error &other) noexcept {
        python_error copy(other);
        std::swap(raised_, copy.raised_);
        return *this;
    }
    ~python_error() override {
        if (raised_)
            raised_->drop_reference();
    }

    /* "Type: message", as Python would print it; made when the exception was taken, so Python is not asked. */
    const char *what() const noexcept override {
        if (!raised_)
            return "MemoryError: an exception was raised, and there was no memory to keep it";
        return get() ? raised_->text() : "SystemError: a call failed without raising an exception";
    }

    /* The exception object, which lives as long as a copy of this; NULL if what() says that there is none. */
    struct ::_object *get() const noexcept {
        return raised_ ? raised_->exception().get() : nullptr;
    }

    /* Whether `except type` would catch it; `type` may be a tuple. False on a thread that is not attached. */
    bool matches(object_arg type) const noexcept {
        int answer = 0;
        return pyattach_error_matches(get(), type.get(), &answer) == PYATTACH_OK && answer;
    }

    /* Raises it in Python again, in place of an exception that is pending. */
    inline void restore(token py) const noexcept;

  private:
    detail::raised *raised_;
};

namespace detail {

/* Raises the built-in exception of that name in Python. Text that is not UTF-8 is repaired. What fails on the way is
 * raised instead. */
inline pyattach_status raise(token, const char *type, const char *message) noexcept {
    struct ::_object *builtins = nullptr, *kind = nullptr, *bytes = nullptr, *decode = nullptr, *encoding = nullptr,
                     *repair = nullptr, *text = nullptr, *exception = nullptr;
    pyattach_error_clear();
    bool is_made = pyattach_import("builtins", &builtins) == PYATTACH_OK &&
                   pyattach_get_attribute(builtins, type, &kind) == PYATTACH_OK &&
                   pyattach_from_bytes(message, std::strlen(message), &bytes) == PYATTACH_OK &&
                   pyattach_get_attribute(bytes, "decode", &decode) == PYATTACH_OK &&
                   pyattach_from_utf8("utf-8", 5, &encoding) == PYATTACH_OK &&
                   pyattach_from_utf8("replace", 7, &repair) == PYATTACH_OK;
    struct ::_object *how[] = {encoding, repair};
    if (is_made && pyattach_call(decode, how, 2, &text) == PYATTACH_OK &&
        pyattach_call(kind, &text, 1, &exception) == PYATTACH_OK)
        pyattach_error_restore(exception);
    for (struct ::_object *one : {builtins, kind, bytes, decode, encoding, repair, text, exception})
        pyattach_decref(one);
    return PYATTACH_PYTHON_ERROR;
}

#if defined(__cpp_exceptions)
/* What a throwing form does with the status of a call. */
inline void require(token py, pyattach_status status) {
    if (status == PYATTACH_PYTHON_ERROR)
        throw python_error(py);
    throw_unless_ok(status);
}
#endif

} // namespace detail

inline void python_error::restore(token py) const noexcept {
    if (get())
        pyattach_error_restore(get());
    else
        detail::raise(py, raised_ ? "SystemError" : "MemoryError", std::strchr(what(), ' ') + 1);
}

#if defined(__cpp_exceptions)
/* For callers of the C API: throws the pending exception, if there is one. */
inline void throw_if_raised(token py) {
    if (pyattach_error_message(nullptr, 0) != 0)
        throw python_error(py);
}
#endif

} // namespace abi1
} // namespace pyattach
#endif
