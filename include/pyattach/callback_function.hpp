/* Callback function: a Python callable as a C++ function that any thread may call, also while Python ends. */
#ifndef PYATTACH_CALLBACK_FUNCTION_HPP
#define PYATTACH_CALLBACK_FUNCTION_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <type_traits>
#include <utility>

#include "attached.hpp"
#include "detail/call_result.hpp"
#include "python_error.hpp"
#include "shared_owned.hpp"

namespace pyattach {
inline namespace abi1 {

/* Policies: what a callback_function does with an error. A policy is a class with two functions:
 *
 *     void on_exception(token py, object_arg callable) const;     a Python exception is pending, and none is afterwards
 *     void on_refusal(pyattach_status status) const;              the callable was not called; the thread is as it was
 *
 * If they return, the call returns Result(), a value-initialized result. The statuses are those of
 * pyattach_attached_begin, and PYATTACH_INVALID for an empty callback_function. */

/* The default: an exception goes to sys.unraisablehook, and a refusal is passed over, as Python is ending then. */
struct report_errors {
    /* Reports the pending exception, with the callable. */
    static void on_exception(token, object_arg callable) noexcept { pyattach_error_report(callable.get()); }
    /* Does nothing. */
    static void on_refusal(pyattach_status) noexcept {}
};
/* Both are passed over. */
struct ignore_errors {
    /* Clears the pending exception. */
    static void on_exception(token, object_arg) noexcept { pyattach_error_clear(); }
    /* Does nothing. */
    static void on_refusal(pyattach_status) noexcept {}
};
#if defined(__cpp_exceptions)
/* An exception is thrown as python_error, a refusal as error, out of the call. For callers that catch them. */
struct throw_errors {
    /* Throws the pending exception as python_error. */
    [[noreturn]] static void on_exception(token py, object_arg) { throw python_error(py); }
    /* Throws error with the status. */
    [[noreturn]] static void on_refusal(pyattach_status status) { throw error(status); }
};
#endif

template <class Signature, class Policy = report_errors> class callback_function;

/* Holds a Python callable, and calls it from C++ on any thread, attached or not:
 *
 *     callback_function<int(std::string)> length{py, py.eval("len")};
 *     std::function<int(std::string)> f = length;      f("four");
 *
 * A call attaches the thread to the interpreter of the callable, converts the arguments, calls, converts the result,
 * and ends the scope. It may block and runs Python code, as an attached scope does. So it must not be made with a lock
 * held that a thread inside Python may wait for. Once the interpreter is ending the callable is not called, and the
 * policy decides what the caller gets. While the thread is attached to the callable's interpreter already, a call
 * nests.
 *
 * Arguments are what token::call takes: texts, numbers, types for which `conversion` is specialised, and objects. The
 * result is void, an owned, or what token::to gives, but no std::string_view, whose text would end with the call. Made
 * by the casters of pyattach/pybind11.hpp or nanobind.hpp, arguments and result are converted by those libraries. C++
 * exceptions of a conversion pass through.
 *
 * Copies share the callable, and need no token. Copies and destruction are those of a shared_owned: on any thread, in
 * any state, without blocking. One callback_function may be called by many threads at once; with a GIL they take turns.
 * The policy is then called at once, too. */
template <class Result, class... Arguments, class Policy> class callback_function<Result(Arguments...), Policy>
    : private Policy {
    static_assert(!std::is_reference_v<Result>, "callback_function: the result is converted, and so a value");

  public:
    /* What calls and converts, on an attached thread. Returns PYATTACH_OK, or PYATTACH_PYTHON_ERROR with the exception
     * pending. Other libraries pass one of their own. */
    using caller = pyattach_status (*)(token py, struct ::_object *callable, call_result<Result> &result,
                                       Arguments &&...arguments);

    /* Empty: a call is refused with PYATTACH_INVALID. */
    callback_function() = default;
#if defined(__cpp_exceptions)
    /* Adds a reference to `callable`; that it can be called is found out by the first call. Throws std::bad_alloc if
     * memory is short. Runs no Python code. */
    callback_function(token py, object_arg callable, Policy policy = Policy())
        : callback_function(shared_owned(owned::borrow(py, callable)), &call_converted, std::move(policy)) {}
#endif
    /* The same without an exception: it is empty if memory is short. */
    callback_function(std::nothrow_t, token py, object_arg callable, Policy policy = Policy()) noexcept
        : callback_function(shared_owned(std::nothrow, owned::borrow(py, callable)), &call_converted,
                            std::move(policy)) {}
    /* Of a callable, which it shares, and a function that calls it. */
    callback_function(shared_owned callable, caller function, Policy policy = Policy()) noexcept
        : Policy(std::move(policy)), callable_(std::move(callable)), caller_(function) {}

    /* Calls it; see above. */
    Result operator()(Arguments... arguments) const {
        call_result<Result> result;
        pyattach_status refusal = PYATTACH_INVALID;
        if (callable_) {
            attached here{std::nothrow, callable_.interpreter()};
            refusal = here.status();
            if (here) {
                token py = here.token();
                refusal = caller_(py, callable_.get(), result, std::forward<Arguments>(arguments)...);
                if (refusal == PYATTACH_PYTHON_ERROR) {
                    Policy::on_exception(py, callable_);
                    refusal = PYATTACH_OK;
                }
            }
        }
        if (refusal != PYATTACH_OK)
            Policy::on_refusal(refusal);
        return result.take();
    }

    /* Whether there is a callable. */
    explicit operator bool() const noexcept { return static_cast<bool>(callable_); }
    /* The callable, which this callback_function goes on sharing. */
    const shared_owned &callable() const noexcept PYATTACH_LIFETIME_BOUND { return callable_; }
    /* The policy. */
    const Policy &policy() const noexcept PYATTACH_LIFETIME_BOUND { return *this; }

  private:
    static pyattach_status call_converted(token py, struct ::_object *callable, call_result<Result> &result,
                                          Arguments &&...arguments) {
        detail::outcome done = detail::call(py, callable, arguments...);
        owned object = done.or_empty(py);
        return done.status == PYATTACH_OK ? result.convert(py, std::move(object)) : done.status;
    }

    shared_owned callable_;
    caller caller_ = nullptr;
};

} // namespace abi1
} // namespace pyattach
#endif
