/* Once: one-time initialization that cannot deadlock against the GIL. */
#ifndef PYATTACH_ONCE_HPP
#define PYATTACH_ONCE_HPP

#include "detail/cpp17.hpp"

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "error.hpp"
#include "once.h"

#if defined(__cpp_exceptions) && defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace pyattach {
inline namespace abi1 {

/* pyattach_once as an object: constant-initialized, without need of destruction.
 *
 *     static once loaded;
 *     loaded.run([&] { table = load_table(); });
 *
 * The function runs in the state of the calling thread (attached or not). It may use Python, detach, and run other
 * onces; it aborts if it runs its own once. It returns nothing, or a pyattach_status. If it throws, or returns a status
 * other than PYATTACH_OK, the once stays undone and the next caller tries again. Once the function has succeeded, the
 * once is done for ever. May block: a thread waits, detached, while another thread runs the function. */
class once {
  public:
    constexpr once() noexcept : once_() {}
    once(const once &) = delete;
    once &operator=(const once &) = delete;

#if defined(__cpp_exceptions)
    /* Throws what the function throws, to the caller whose function it was. Throws error for a status other than
     * PYATTACH_OK. */
    template <class Function> void run(Function &&function) {
        attempt<Function> attempted{function, nullptr};
        pyattach_status status = pyattach_once_run(&once_, &attempt<Function>::make, &attempted);
        if (attempted.thrown)
            std::rethrow_exception(attempted.thrown);
        detail::throw_unless_ok(status);
    }
#endif
    /* For functions that do not throw; std::terminate is called if one does. Returns what pyattach_once_run returns:
     *
     * PYATTACH_OK: the function has succeeded, now or earlier.
     * PYATTACH_FINALIZING: the interpreter ended while the attached thread waited. */
    template <class Function> [[nodiscard]] pyattach_status run(std::nothrow_t, Function &&function) noexcept {
        return pyattach_once_run(
            &once_, [](void *arg) { return call(*static_cast<std::remove_reference_t<Function> *>(arg)); },
            const_cast<void *>(static_cast<const void *>(std::addressof(function))));
    }

    /* The once for functions of the C API. */
    pyattach_once *native_handle() noexcept { return &once_; }

  private:
    template <class Function> static pyattach_status call(Function &function) {
        using result = decltype(function());
        static_assert(std::is_void_v<result> || std::is_same_v<result, pyattach_status>,
                      "once: the function returns nothing, or a pyattach_status");
        if constexpr (std::is_void_v<result>) {
            function();
            return PYATTACH_OK;
        } else {
            return function();
        }
    }

#if defined(__cpp_exceptions)
    /* An exception must not pass through the frames of the library, so it is stored here. */
    template <class Function> struct attempt {
        std::remove_reference_t<Function> &function;
        std::exception_ptr thrown;

        static pyattach_status make(void *arg) {
            auto &self = *static_cast<attempt *>(arg);
            try {
                return call(self.function);
#if defined(__GLIBCXX__)
            } catch (abi::__forced_unwind &) {
                throw; /* CPython ends the thread inside the function; the library parks it, and the once is undone */
#endif
            } catch (...) {
                self.thrown = std::current_exception();
                return PYATTACH_INVALID;
            }
        }
    };
#endif

    pyattach_once once_;
};

} // namespace abi1
} // namespace pyattach
#endif
