/* Token: proof, of size zero, that the calling thread is attached, and the calls of Python that this allows. */
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

/* A token is passed by value, from attached::token() down to the code that calls Python. A function that takes a token
 * declares by that that it may call Python and may run any Python code; a function that takes none does neither. A
 * token is never stored, never passed to another thread, and never used in a detached scope: detach() refuses to pass
 * one.
 *
 * Every member function that calls Python may block and may run Python code, except where its comment says otherwise.
 * Objects are borrowed: the caller keeps its references. Results of type owned are new references.
 *
 * Each has two overloads. The throwing one throws python_error if Python raised an exception (none is pending then),
 * and error for any other refusal. The nothrow overload takes std::nothrow first and returns an empty owned, an empty
 * optional, or a status; an exception that Python raised stays pending. With -fno-exceptions only the nothrow overloads
 * exist.
 *
 * An object_arg is a PyObject pointer, a borrowed, an owned or a shared_owned; a czstring is a `const char *` or a
 * std::string. */
class token {
  public:
    /* For code that Python called, which is attached already: the caller guarantees it. Unless NDEBUG is defined, a
     * thread that is not attached aborts. Does not block and runs no Python code. */
    static token assume() noexcept {
#if !defined(NDEBUG)
        if (!pyattach_is_attached())
            detail::misuse("token::assume: this thread is not attached.",
                           "Who assumes a token vouches that the thread is attached.",
                           "Open an `attached` scope where that is not certain, and take its token.");
#endif
        return token();
    }

    /* The interpreter to which the thread is attached: pyattach_interpreter_current. */
    pyattach_interpreter *interpreter() const noexcept { return pyattach_interpreter_current(); }

#if defined(__cpp_exceptions)
    /* --- Detaching -------------------------------------------------------------------------------------------------
     * Calls `function` with the arguments in a detached scope and returns its result. An exception that it throws
     * passes through, after the thread is attached again. The function may capture nothing, and the arguments may hold
     * no token, borrowed or PyObject *: the compiler checks that (see detach_safe.hpp). Arguments are copied or moved
     * while attached; std::ref(x) shares x. Throws error if detaching is refused, and with PYATTACH_FINALIZING if the
     * interpreter ended meanwhile; the thread is not attached then. If `function` threw and the interpreter ended, the
     * thread is parked for ever instead. */
    template <class Function, class... Arguments>
    decltype(auto) detach(Function function, Arguments &&...arguments) const;
    /* The same for any closure: the caller guarantees that it does not use Python. */
    template <class Function> decltype(auto) detach_unchecked(Function &&function) const;

    /* --- Code ------------------------------------------------------------------------------------------------------
     * eval evaluates an expression, run executes statements. `globals` is a dict, by default that of `__main__`;
     * `__builtins__` is added to it if it has none. `locals` is any mapping, by default the globals. A NUL inside the
     * code is a ValueError. */
    owned eval(czstring code, object_arg globals = nullptr, object_arg locals = nullptr) const;
    void run(czstring code, object_arg globals = nullptr, object_arg locals = nullptr) const;
    /* Imports a module by its dotted name. The result is that module, not its parent. */
    owned import(czstring name) const;
    /* Runs the Python handlers of signals that arrived, on the main thread of the main interpreter; on any other thread
     * does nothing. */
    void check_signals() const;

    /* --- Objects ---------------------------------------------------------------------------------------------------
     * The attribute `name` of the module `builtins`: int, ValueError, len ... */
    owned builtin(czstring name) const;
    /* The singletons. */
    owned None() const;
    owned NotImplemented() const;
    owned Ellipsis() const;

    /* The attribute `name` of `object`. */
    owned get_attribute(object_arg object, czstring name) const;
    /* Sets the attribute `name`. The value is an object_arg or a C++ value. A null pointer deletes the attribute. */
    template <class T> void set_attribute(object_arg object, czstring name, const T &value) const;
    /* Calls `callable` with positional arguments, each an object_arg or a C++ value. */
    template <class... Arguments> owned call(object_arg callable, const Arguments &...arguments) const;
    /* Calls the method `name` of `object` in the same way. */
    template <class... Arguments>
    owned call_method(object_arg object, czstring name, const Arguments &...arguments) const;
    /* What Python's str() and repr() return; to<std::string>(str(x)) is the text. */
    owned str(object_arg object) const;
    owned repr(object_arg object) const;

    /* The type of an object. */
    owned get_type(object_arg object) const;
    /* The Python type that values of this C++ type become: bool, int, float, str. */
    template <class T> owned get_type() const;
    /* What Python's isinstance() and issubclass() return: the second argument may be a tuple of types. Anything else
     * that is no type is a TypeError. */
    bool is_instance(object_arg object, object_arg type) const;
    bool is_subclass(object_arg derived, object_arg base) const;
    /* Returns the object itself if it is an instance of `type`; else throws cast_error. A temporary owned is moved into
     * the result. With a T, for users of Python.h, returns the object as a pointer to its struct T. */
    borrowed checked_cast(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type) const;
    owned checked_cast(owned &&object, object_arg type) const;
    template <class T> T *checked_cast(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type) const;

    /* --- Conversions -----------------------------------------------------------------------------------------------
     * to converts a Python object to C++, from converts a C++ value to Python: bool, integers, floating point numbers,
     * texts (UTF-8), and the types for which `conversion` is specialised (see conversion.hpp). What cannot be converted
     * is an OverflowError, a TypeError or a UnicodeError. A std::string_view is valid as long as the object, which the
     * caller keeps alive. */
    template <class T> T to(object_arg object) const;
    template <class T> owned from(const T &value) const;
    /* to_bytes returns the data of a bytes object, valid as long as the object, which the caller keeps alive.
     * from_bytes makes a bytes object with a copy of `data`. */
    std::string_view to_bytes(object_arg object) const;
    owned from_bytes(std::string_view data) const;

    /* --- Pointers --------------------------------------------------------------------------------------------------
     * For results of the C API. NULL means that Python raised an exception, and is thrown as python_error (as a
     * SystemError if none is pending). from_owned_ptr takes over a new reference; from_borrowed_ptr leaves the
     * reference with its owner. An arena has the same names and keeps the references itself. */
    owned from_owned_ptr(struct ::_object *object) const;
    owned from_owned_ptr_or_err(struct ::_object *object) const;
    borrowed from_borrowed_ptr(struct ::_object *object) const;
    borrowed from_borrowed_ptr_or_err(struct ::_object *object) const;
#endif
    /* The same, but NULL gives an empty optional. A pending exception stays pending. */
    std::optional<owned> from_owned_ptr_or_opt(struct ::_object *object) const noexcept;
    std::optional<borrowed> from_borrowed_ptr_or_opt(struct ::_object *object) const noexcept;
    /* Gives back a reference: pyattach_decref. NULL is ignored. */
    void xdecref(struct ::_object *object) const noexcept;
    /* As checked_cast, but nothing is checked: the caller guarantees the type. Runs no Python code. */
    borrowed cast_unchecked(object_arg object PYATTACH_LIFETIME_BOUND, object_arg type = nullptr) const noexcept;
    owned cast_unchecked(owned &&object, object_arg type = nullptr) const noexcept;
    template <class T> T *cast_unchecked(object_arg object PYATTACH_LIFETIME_BOUND) const noexcept;

    /* --- Nothrow overloads -----------------------------------------------------------------------------------------
     * For functions that return nothing. Returns the status with which detaching was refused (then the function was not
     * called), or with which attaching again was refused. */
    template <class Function, class... Arguments>
    [[nodiscard]] pyattach_status detach(std::nothrow_t, Function function, Arguments &&...arguments) const;
    template <class Function> [[nodiscard]] pyattach_status detach_unchecked(std::nothrow_t, Function &&function) const;

    /* The same as the throwing overloads above. */
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
