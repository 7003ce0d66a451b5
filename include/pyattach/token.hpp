/* Token: proof, of size zero, that this thread is attached, and what can be done with Python because of it. */
#ifndef PYATTACH_TOKEN_HPP
#define PYATTACH_TOKEN_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "attached.h"
#include "detail/czstring.hpp"
#include "detail/object_arg.hpp"
#include "detail/misuse.hpp"
#include "error.hpp"
#include "interpreter.h"

namespace pyattach {
inline namespace abi1 {

/* Passed by value, from attached::token(), down to whatever calls Python. A function that takes one says that it may
 * call Python and may run any Python code; one that takes none keeps off. Never stored, never taken to another thread,
 * never used in a detached scope: detach() refuses to carry one there.
 *
 * Two forms. The first throws: python_error if Python raised (nothing is pending then), error for any other refusal.
 * Its twin takes std::nothrow first and returns an empty owned, an empty optional, or a status; an exception that
 * Python raised stays pending. With -fno-exceptions only the twins are there. */
class token {
  public:
    /* For code that Python called, which is attached already: the caller vouches for it. Unless NDEBUG is defined, it
     * is looked at. */
    static token assume() noexcept {
#if !defined(NDEBUG)
        if (!pyattach_is_attached())
            detail::misuse("token::assume: this thread is not attached.",
                           "Who assumes a token vouches that the thread is attached.",
                           "Open an `attached` scope where that is not certain, and take its token.");
#endif
        return token();
    }

    /* The interpreter this thread is attached to. */
    pyattach_interpreter *interpreter() const noexcept { return pyattach_interpreter_current(); }

#if defined(__cpp_exceptions)
    /* --- Letting go ------------------------------------------------------------------------------------------------
     * Calls `function` with the arguments in a detached scope; its result is theirs. What it throws passes through,
     * attached again. The function may capture nothing, and the arguments may hold no token, borrowed or PyObject *:
     * that is checked when compiling (see detach_safe.hpp). They are passed as copies made while attached, or moved;
     * std::ref(x) shares x. If the interpreter ended meanwhile: error FINALIZING, not attached; if the function threw,
     * the thread is parked instead. */
    template <class Function, class... Arguments>
    decltype(auto) detach(Function function, Arguments &&...arguments) const;
    /* The same for any closure: the caller vouches that it leaves Python alone. */
    template <class Function> decltype(auto) detach_unchecked(Function &&function) const;

    /* --- Code ------------------------------------------------------------------------------------------------------
     * Evaluates an expression, or executes statements. `globals` is a dict, by default that of `__main__`;
     * `__builtins__` is put into it if missing. `locals` is any mapping, by default the globals. A NUL inside the code
     * is a ValueError. */
    owned eval(czstring code, object_arg globals = nullptr, object_arg locals = nullptr) const;
    void run(czstring code, object_arg globals = nullptr, object_arg locals = nullptr) const;
    /* The module of that dotted name, not its parent. */
    owned import(czstring name) const;
    /* Runs the Python handlers of signals that arrived, on the main thread of the main interpreter; elsewhere does
     * nothing. */
    void check_signals() const;

    /* --- Objects ---------------------------------------------------------------------------------------------------
     * What `builtins` calls by that name: int, ValueError, len ... */
    owned builtin(czstring name) const;
    /* The singletons. */
    owned None() const;
    owned NotImplemented() const;
    owned Ellipsis() const;

    /* The attribute of that name. */
    owned get_attribute(object_arg object, czstring name) const;
    /* The value is an object in any form, or a C++ value. A null pointer deletes the attribute. */
    template <class T> void set_attribute(object_arg object, czstring name, const T &value) const;
    /* Calls with positional arguments, each an object in any form, or a C++ value. */
    template <class... Arguments> owned call(object_arg callable, const Arguments &...arguments) const;
    /* The same for a method, by its name. */
    template <class... Arguments>
    owned call_method(object_arg object, czstring name, const Arguments &...arguments) const;
    /* As Python objects; to<std::string>(str(x)) is the text. */
    owned str(object_arg object) const;
    owned repr(object_arg object) const;

    /* The type of an object. */
    owned get_type(object_arg object) const;
    /* The Python type that values of this C++ type become: bool, int, float, str. */
    template <class T> owned get_type() const;
    /* As isinstance() and issubclass(): `type` may be a tuple of types. Anything else than a type is a TypeError. */
    bool is_instance(object_arg object, object_arg type) const;
    bool is_subclass(object_arg derived, object_arg base) const;
    /* The object itself if it is an instance of `type`, else cast_error. A temporary owned is handed on. With a T, for
     * users of Python.h, its struct. */
    borrowed checked_cast(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type) const;
    owned checked_cast(owned &&object, object_arg type) const;
    template <class T> T *checked_cast(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type) const;

    /* --- Conversions -----------------------------------------------------------------------------------------------
     * Between Python and bool, integers, floating point numbers, texts (UTF-8), and whatever `conversion` is
     * specialised for (see conversion.hpp). What does not fit is an OverflowError, a TypeError or a UnicodeError. A
     * std::string_view lives as long as the object, which the caller keeps. */
    template <class T> T to(object_arg object) const;
    template <class T> owned from(const T &value) const;
    /* The data of a bytes object, which the caller keeps; and a bytes object of that data. */
    std::string_view to_bytes(object_arg object) const;
    owned from_bytes(std::string_view data) const;

    /* --- Pointers --------------------------------------------------------------------------------------------------
     * The result of a C API call: NULL means that Python raised, and is thrown (as a SystemError, if nothing was
     * raised). `owned` pointers are new references, which the result takes over; `borrowed` ones stay the caller's. An
     * arena has the same names and keeps the objects itself. */
    owned from_owned_ptr(struct ::_object *object) const;
    owned from_owned_ptr_or_err(struct ::_object *object) const;
    borrowed from_borrowed_ptr(struct ::_object *object) const;
    borrowed from_borrowed_ptr_or_err(struct ::_object *object) const;
#endif
    /* Here NULL is an answer: empty. What may be pending is left alone. */
    std::optional<owned> from_owned_ptr_or_opt(struct ::_object *object) const noexcept;
    std::optional<borrowed> from_borrowed_ptr_or_opt(struct ::_object *object) const noexcept;
    /* Gives a reference back; NULL is nothing. */
    void xdecref(struct ::_object *object) const noexcept;
    /* As checked_cast, where the caller vouches for the type. */
    borrowed cast_unchecked(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type = nullptr) const noexcept;
    owned cast_unchecked(owned &&object, object_arg type = nullptr) const noexcept;
    template <class T> T *cast_unchecked(object_arg object PYATTACH_LIFETIME_BOUND) const noexcept;

    /* --- The twins -------------------------------------------------------------------------------------------------
     * For functions that return nothing: why letting go was refused (the function was not called), or why coming back
     * was. */
    template <class Function, class... Arguments>
    [[nodiscard]] pyattach_status detach(std::nothrow_t, Function function, Arguments &&...arguments) const;
    template <class Function> [[nodiscard]] pyattach_status detach_unchecked(std::nothrow_t, Function &&function) const;

    /* As their namesakes above. */
    owned eval(std::nothrow_t, czstring code, object_arg globals = nullptr, object_arg locals = nullptr) const noexcept;
    [[nodiscard]] pyattach_status run(std::nothrow_t, czstring code, object_arg globals = nullptr,
                                      object_arg locals = nullptr) const noexcept;
    owned import(std::nothrow_t, czstring name) const noexcept;
    [[nodiscard]] pyattach_status check_signals(std::nothrow_t) const noexcept;
    owned builtin(std::nothrow_t, czstring name) const noexcept;
    owned get_attribute(std::nothrow_t, object_arg object, czstring name) const noexcept;
    template <class T> [[nodiscard]] pyattach_status set_attribute(std::nothrow_t, object_arg object, czstring name,
                                                                   const T &value) const noexcept;
    template <class... Arguments>
    owned call(std::nothrow_t, object_arg callable, const Arguments &...arguments) const noexcept;
    template <class... Arguments>
    owned call_method(std::nothrow_t, object_arg object, czstring name, const Arguments &...arguments) const noexcept;
    owned str(std::nothrow_t, object_arg object) const noexcept;
    owned repr(std::nothrow_t, object_arg object) const noexcept;
    owned get_type(std::nothrow_t, object_arg object) const noexcept;
    std::optional<bool> is_instance(std::nothrow_t, object_arg object, object_arg type) const noexcept;
    std::optional<bool> is_subclass(std::nothrow_t, object_arg derived, object_arg base) const noexcept;
    template <class T> std::optional<T> to(std::nothrow_t, object_arg object) const;
    template <class T> owned from(std::nothrow_t, const T &value) const noexcept;
    std::optional<std::string_view> to_bytes(std::nothrow_t, object_arg object) const noexcept;
    owned from_bytes(std::nothrow_t, std::string_view data) const noexcept;

  private:
    friend class attached;
    /* User-provided: a defaulted private constructor would leave the class an aggregate in C++17, and token{} would
     * compile. */
    token() noexcept {}
};

} // namespace abi1
} // namespace pyattach
#endif
