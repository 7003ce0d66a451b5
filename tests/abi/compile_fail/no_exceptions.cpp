// Without exceptions the forms that throw are not there.
// flags: -fno-exceptions
#include "pyattach/pyattach.hpp"

using namespace pyattach;

void forbidden_things(token py, owned object, mutex &lock, once &one, synchronized<int> &value) {
    attached here{std::nothrow};
    static_cast<void>(object), static_cast<void>(lock), static_cast<void>(one), static_cast<void>(value);

#if defined(CASE_attached) // expect: no matching function|no matching constructor
    attached there;
#elif defined(CASE_attached_in)           // expect: no matching function|no matching constructor
    attached there{py.interpreter()};
#elif defined(CASE_attached_unchecked)    // expect: no matching function|no matching constructor
    attached there{unchecked};
#elif defined(CASE_assume)                // expect: no matching function|too few arguments
    attached there = attached::assume();
#elif defined(CASE_with_attached)         // expect: no matching function
    with_attached([](token) {});
#elif defined(CASE_detached)              // expect: no matching function|no matching constructor
    detached gap{py};
#elif defined(CASE_section)               // expect: no matching function|no matching constructor
    critical_section section{py, object};
#elif defined(CASE_with_critical_section) // expect: with_critical_section
    with_critical_section(py, value, [](entered<int>) {});
#elif defined(CASE_eval)                  // expect: no matching function|too few arguments
    py.eval("1");
#elif defined(CASE_call)                  // expect: no matching function|no matching member function
    py.call(object);
#elif defined(CASE_to)                    // expect: no matching function|no matching member function
    py.to<int>(object);
#elif defined(CASE_from_owned_ptr)        // expect: no member named
    py.from_owned_ptr(nullptr);
#elif defined(CASE_detach)                // expect: no matching function|no matching member function
    py.detach([] {});
#elif defined(CASE_once)                  // expect: no matching function|no matching member function
    one.run([] {});
#elif defined(CASE_lock_detached)         // expect: no matching function
    auto held = lock_detached(py, lock);
#elif defined(CASE_lock_without_token)    // expect: no matching function
    auto held = lock_detached(lock);
#elif defined(CASE_try_lock_for)          // expect: no matching
    return void(lock.try_lock_for(std::chrono::seconds(1)));
#elif defined(CASE_callback)              // expect: callback
    callback([](token) {});
#endif
}
