/* Once: one-time initialisation that cannot deadlock against the GIL. */
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

/* pyattach_once as an object: constant-initialised, needs no destruction.
 *
 *     static once loaded;
 *     loaded.run([&] { table = load_table(); });
 *
 * The function runs in the state the caller is in (attached or not) and may use Python, detach, and run other onces;
 * running its own aborts. It returns nothing, or a pyattach_status. If it throws, or returns another status than OK,
 * the once stays undone and the next caller tries again. Threads that wait do so detached. Afterwards the once is done
 * for ever. */
class once {
  public:
    constexpr once() noexcept : once_() {}
    once(const once &) = delete;
    once &operator=(const once &) = delete;

#if defined(__cpp_exceptions)
    /* What the function throws comes out here, to the caller whose turn it was; a status other than OK is thrown as
     * error. */
    template <class Function> void run(Function &&function) {
        attempt<Function> mine{function, nullptr};
        pyattach_status status = pyattach_once_run(&once_, &attempt<Function>::make, &mine);
        if (mine.thrown)
            std::rethrow_exception(mine.thrown);
        detail::throw_unless_ok(status);
    }
#endif
    /* For functions that do not throw; std::terminate if it does. FINALIZING: the interpreter ended while an attached
     * thread waited. */
    template <class Function> [[nodiscard]] pyattach_status run(std::nothrow_t, Function &&function) noexcept {
        return pyattach_once_run(
            &once_, [](void *it) { return call(*static_cast<std::remove_reference_t<Function> *>(it)); },
            const_cast<void *>(static_cast<const void *>(std::addressof(function))));
    }

    /* For C. */
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
    /* An exception does not pass through the library's frames, so it is carried around them. */
    template <class Function> struct attempt {
        std::remove_reference_t<Function> &function;
        std::exception_ptr thrown;

        static pyattach_status make(void *mine) {
            auto &self = *static_cast<attempt *>(mine);
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
