/* Python error: a Python exception as a C++ exception. */
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

/* The part that all copies of one python_error share. The text follows it in memory. */
class shared_exception {
  public:
    /* Takes the pending exception and its text. NULL if memory is short; then the exception is cleared. */
    static shared_exception *take(token py) noexcept {
        /* The text is read first, while the exception is pending. One that is longer than `first` is read again. */
        char first[200];
        std::size_t size = pyattach_error_message(first, sizeof first) + 1;
        void *memory = ::operator new(sizeof(shared_exception) + size, std::nothrow);
        if (!memory) {
            pyattach_error_clear();
            return nullptr;
        }
        char *text = static_cast<char *>(memory) + sizeof(shared_exception);
        if (size <= sizeof first)
            std::memcpy(text, first, size);
        else
            pyattach_error_message(text, size);
        struct ::_object *exception = nullptr;
        pyattach_error_take(&exception);
        return ::new (memory) shared_exception(owned::steal(py, exception));
    }

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release_reference() noexcept {
        /* Acquire and release: every access of another owner happens before the destructor. */
        if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
            return;
        this->~shared_exception();
        ::operator delete(this);
    }

    const char *text() const noexcept { return reinterpret_cast<const char *>(this + 1); }
    const owned &exception() const noexcept { return exception_; }

  private:
    explicit shared_exception(owned exception) noexcept : exception_(std::move(exception)) {}

    std::atomic<std::size_t> references_{1};
    owned exception_;
};

} // namespace detail

/* Holds an exception that was pending in Python, with its traceback. Copies share it. It may be copied, read with
 * what(), and destroyed on any thread, attached or not. */
class PYATTACH_VISIBLE python_error : public error {
  public:
    /* Takes the pending exception, so that none is pending afterwards. May run Python code. If none was pending,
     * because a function of Python's failed without raising one, what() is "SystemError: ...". */
    explicit python_error(token py) noexcept
        : error(PYATTACH_PYTHON_ERROR), shared_(detail::shared_exception::take(py)) {}

    /* Copies share the exception. */
    python_error(const python_error &other) noexcept : error(other), shared_(other.shared_) {
        if (shared_)
            shared_->add_reference();
    }
    python_error &operator=(const python_error &other) noexcept {
        python_error copy(other);
        std::swap(shared_, copy.shared_);
        return *this;
    }
    ~python_error() override {
        if (shared_)
            shared_->release_reference();
    }

    /* "Type: message", as Python would print it. The text was made when the exception was taken, so this does not use
     * Python. It is valid as long as a copy of this error. */
    const char *what() const noexcept override {
        if (!shared_)
            return "MemoryError: an exception was raised, and there was no memory to keep it";
        return get() ? shared_->text() : "SystemError: a call failed without raising an exception";
    }

    /* The exception object, borrowed from this error and valid as long as a copy of it. NULL if there was none, or no
     * memory to keep it. */
    struct ::_object *get() const noexcept {
        return shared_ ? shared_->exception().get() : nullptr;
    }

    /* Whether `except type` would catch the exception; `type` may be a tuple of exception classes. False on a thread
     * that is not attached. Runs no Python code. */
    bool matches(object_arg type) const noexcept {
        int answer = 0;
        return pyattach_error_matches(get(), type.get(), &answer) == PYATTACH_OK && answer;
    }

    /* Makes the exception pending in Python again, in place of one that is pending. May run Python code. */
    inline void restore(token py) const noexcept;

  private:
    detail::shared_exception *shared_;
};

namespace detail {

/* Raises the built-in exception named `type` in Python. Bytes of `message` that are not UTF-8 are replaced. If that
 * fails, the exception of the failure is raised instead. */
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
    for (struct ::_object *object : {builtins, kind, bytes, decode, encoding, repair, text, exception})
        pyattach_decref(object);
    return PYATTACH_PYTHON_ERROR;
}

#if defined(__cpp_exceptions)
/* Throws what a throwing overload throws for the status of a call. */
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
        detail::raise(py, shared_ ? "SystemError" : "MemoryError", std::strchr(what(), ' ') + 1);
}

#if defined(__cpp_exceptions)
/* For callers of Python's C API: throws the pending exception as python_error, if there is one. May run Python code. */
inline void throw_if_raised(token py) {
    if (pyattach_error_message(nullptr, 0) != 0)
        throw python_error(py);
}
#endif

} // namespace abi1
} // namespace pyattach
#endif
