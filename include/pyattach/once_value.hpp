/* Once value: a value that one thread makes when it is first needed. */
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

/* A once and the value that it made. It is constant-initialized, so it may be a global or a static without the
 * compiler's own guard, which deadlocks against the GIL if the initializer needs Python.
 *
 *     static once_value<owned> json;
 *     borrowed module{py, json.get_or_make([&] { return py.import("json"); })}; */
template <class T> class once_value {
  public:
    constexpr once_value() noexcept : nothing_() {}
    once_value(const once_value &) = delete;
    once_value &operator=(const once_value &) = delete;
    ~once_value() { take(); }

    /* The value; NULL as long as there is none. Does not block. */
    T *get() noexcept { return is_made_.load(std::memory_order_acquire) ? &value_ : nullptr; }
    const T *get() const noexcept { return is_made_.load(std::memory_order_acquire) ? &value_ : nullptr; }

#if defined(__cpp_exceptions)
    /* Returns the value; if there is none, makes it with `make()`. May block: a thread waits, detached, while another
     * thread makes the value. If `make` throws, there still is no value, and the next caller tries again. */
    template <class Make> T &get_or_make(Make &&make) {
        if (T *made = get())
            return *made;
        once_.run([&] { emplace(std::forward<Make>(make)()); });
        return value_;
    }
#endif
    /* The same with a `make` that returns a std::optional<T>; if that is empty, there still is no value. Returns NULL
     * then, and if the interpreter ended while the attached thread waited. */
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

    /* Sets the value. False, and nothing has changed, if there is one already. May block, as get_or_make. */
    bool set(T value) {
        bool is_first = false;
        static_cast<void>(once_.run(std::nothrow, [&]() noexcept {
            emplace(std::move(value));
            is_first = true;
        }));
        return is_first;
    }

    /* Moves the value out and leaves none. Requires that no other thread uses this object. */
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
        is_made_.store(true, std::memory_order_release); /* a thread that reads true reads the value, too */
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
