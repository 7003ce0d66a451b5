// Scopes are addresses; tokens are proof; owners are moved.
#include <memory>
#include <utility>
#include <vector>

#include "pyattach/pyattach.hpp"

using namespace pyattach;

void forbidden_things(token py, owned object, struct _object *pointer) {
    attached here;
    detached gap{std::nothrow, py};
    mutex lock;
    critical_section section{py, lock};
    owned moved = std::move(object);
    synchronized<int> value;
    auto guard = value.lock();
    static_cast<void>(pointer);

#if defined(CASE_copy_attached) // expect: deleted
    attached copy = here;
#elif defined(CASE_move_attached)               // expect: deleted
    attached other = std::move(here);
#elif defined(CASE_assign_attached)             // expect: deleted
    here = attached(std::nothrow);
#elif defined(CASE_new_attached)                // expect: deleted
    delete new attached;
#elif defined(CASE_new_attached_array)          // expect: deleted
    delete[] new attached[2];
#elif defined(CASE_unique_attached)             // expect: deleted
    auto heap = std::make_unique<attached>();
#elif defined(CASE_copy_detached)               // expect: deleted
    detached copy = gap;
#elif defined(CASE_move_detached)               // expect: deleted
    detached other = std::move(gap);
#elif defined(CASE_new_detached)                // expect: deleted
    delete new detached(py);
#elif defined(CASE_copy_forbidden)              // expect: deleted
    forbidden traversing;
    forbidden copy = traversing;
#elif defined(CASE_new_forbidden)               // expect: deleted
    delete new forbidden;
#elif defined(CASE_copy_section)                // expect: deleted
    critical_section copy = section;
#elif defined(CASE_move_section)                // expect: deleted
    critical_section other = std::move(section);
#elif defined(CASE_new_section)                 // expect: deleted
    delete new critical_section(py, lock);
#elif defined(CASE_new_arena)                   // expect: deleted
    delete new arena(py);
#elif defined(CASE_move_guard)                  // expect: deleted
    auto elsewhere = std::move(guard);
#elif defined(CASE_copy_mutex)                  // expect: deleted
    mutex copy = lock;
#elif defined(CASE_copy_owned)                  // expect: deleted
    owned copy = moved;
#elif defined(CASE_owned_from_pointer)          // expect: owned
    owned taken = pointer;
#elif defined(CASE_token_from_nothing)          // expect: private
    token invented;
#elif defined(CASE_token_from_braces)           // expect: private
    py = token{};
#elif defined(CASE_borrowed_without_token)      // expect: no matching function|no matching constructor
    borrowed seen{pointer};
#elif defined(CASE_borrowed_of_temporary)       // expect: deleted
    borrowed seen{py, py.eval("object()")};
#elif defined(CASE_detached_without_token)      // expect: no matching function|no matching constructor
    detached other{};
#elif defined(CASE_with_attached_returns_token) // expect: a token or a borrowed is of no use once the scope has ended
    with_attached([](token inner) { return inner; });
#elif defined(CASE_with_attached_returns_borrowed) // expect: return an owned
    with_attached([&](token inner) { return borrowed(inner, pointer); });
#elif defined(CASE_with_attached_nothrow_result)   // expect: this form returns the status
    static_cast<void>(with_attached(std::nothrow, [](token) { return 1; }));
#elif defined(CASE_traverse_with_token)            // expect: while the collector traverses no object may be used
    during_traverse([](token) { return 0; });
#elif defined(CASE_once_result)                    // expect: the function returns nothing, or a pyattach_status
    once one;
    one.run([] { return 1; });
#elif defined(CASE_callback_result)                // expect: the function returns an owned, a pointer to an object
    callback([](token) { return std::vector<int>(); });
#elif defined(CASE_plain_char)                     // expect: make it a number or a text
    py.from('x');
#elif defined(CASE_to_unknown)                     // expect: there is no way from a Python object to this type
    py.to<std::vector<int>>(moved);
#elif defined(CASE_from_unknown)                   // expect: Specialise pyattach::conversion for it
    py.call(moved, std::vector<int>());
#elif defined(CASE_text_without_end)               // expect: no matching function|no matching member function
    py.eval(std::string_view("1"));
#endif
}
