/* Once value: a value that is made when it is first needed, by one thread. */
#ifndef PYATTACH_ONCE_VALUE_HPP
#define PYATTACH_ONCE_VALUE_HPP

#include "detail/cpp17.hpp"

#include <atomic>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "once.hpp"

namespace pyattach {
inline namespace abi1 {

/* A once and what it made. Constant-initialised, so it may be a global or a static without the compiler's own guard,
 * which deadlocks against the GIL when its initialiser needs Python.
 *
 *     static once_value<owned> json;
 *     borrowed module{py, json.get_or_make([&] { return py.import("json"); })}; */
template <class T> class once_value {
  public:
    constexpr once_value() noexcept : nothing_() {}
    once_value(const once_value &) = delete;
    once_value &operator=(const once_value &) = delete;
    ~once_value() { take(); }

    /* The value, or NULL as long as there is none. Never blocks. */
    T *get() noexcept { return is_made_.load(std::memory_order_acquire) ? &value_ : nullptr; }
    const T *get() const noexcept { return is_made_.load(std::memory_order_acquire) ? &value_ : nullptr; }

#if defined(__cpp_exceptions)
    /* The value; made by `make()` if there is none. Others wait, detached. If it throws, there still is none, and the
     * next caller tries. */
    template <class Make> T &get_or_make(Make &&make) {
        if (T *made = get())
            return *made;
        once_.run([&] { emplace(std::forward<Make>(make)()); });
        return value_;
    }
#endif
    /* For a `make` that fills a std::optional<T>: left empty, there still is none. NULL then, or if the interpreter
     * ended while an attached thread waited. */
    template <class Make> T *get_or_make(std::nothrow_t, Make &&make) noexcept {
        if (T *made = get())
            return made;
        pyattach_status status = once_.run(std::nothrow, [&]() noexcept {
            std::optional<T> made = std::forward<Make>(make)();
            if (!made)
                return PYATTACH_INVALID;
            emplace(*std::move(made));
            return PYATTACH_OK;
        });
        return status == PYATTACH_OK ? &value_ : nullptr;
    }

    /* Puts a value in. False, and nothing changed, if there is one already. */
    bool set(T value) {
        bool is_first = false;
        static_cast<void>(once_.run(std::nothrow, [&]() noexcept {
            emplace(std::move(value));
            is_first = true;
        }));
        return is_first;
    }

    /* Takes the value out, and leaves none. Requires that no other thread uses it. */
    std::optional<T> take() noexcept {
        std::optional<T> taken;
        if (T *made = get()) {
            taken.emplace(std::move(*made));
            made->~T();
            is_made_.store(false, std::memory_order_relaxed);
            once_.~once();
            ::new (&once_) once;
        }
        return taken;
    }

  private:
    void emplace(T &&value) {
        ::new (static_cast<void *>(&value_)) T(std::move(value));
        is_made_.store(true, std::memory_order_release); /* who sees it sees the value */
    }

    once once_;
    std::atomic<bool> is_made_{false};
    struct nothing {};
    union {
        nothing nothing_;
        T value_;
    };
};

} // namespace abi1
} // namespace pyattach
#endif
