// What may not go into a detached scope, and what may not come out.
#include <atomic>
#include <functional>
#include <memory>
#include <tuple>
#include <vector>

#include "pyattach/pyattach.hpp"

using namespace pyattach;

struct unlisted {
    struct _object *object;
};
struct proof : token {};

void forbidden_things(token py, borrowed seen, struct _object *pointer, arena &pool) {
    std::vector<int> numbers;
    std::atomic<int> counter;
    std::unique_ptr<int> number;
    py.detach([](std::vector<int>, std::atomic<int> &, std::unique_ptr<int>) {}, numbers, std::ref(counter),
              std::move(number));
    static_cast<void>(seen), static_cast<void>(pointer), static_cast<void>(pool);

#if defined(CASE_token) // expect: a token cannot go along
    py.detach([](token) {}, py);
#elif defined(CASE_arena_token)                 // expect: a token cannot go along
    py.detach([](token) {}, pool.token());
#elif defined(CASE_token_by_reference)          // expect: a token cannot go along
    py.detach([](token &) {}, std::ref(py));
#elif defined(CASE_borrowed)                    // expect: a borrowed cannot go along
    py.detach([](borrowed) {}, seen);
#elif defined(CASE_pointer)                     // expect: a pointer to a Python object cannot go along
    py.detach([](struct _object *) {}, pointer);
#elif defined(CASE_pointer_to_const)            // expect: a pointer to a Python object cannot go along
    py.detach([](const struct _object *) {}, static_cast<const struct _object *>(pointer));
#elif defined(CASE_pointer_to_pointer)          // expect: a pointer to a Python object cannot go along
    py.detach([](struct _object **) {}, &pointer);
#elif defined(CASE_pointer_to_token)            // expect: a pointer to a Python object cannot go along
    py.detach([](token *) {}, &py);
#elif defined(CASE_reference_to_pointer)        // expect: a pointer to a Python object cannot go along
    py.detach([](struct _object *&) {}, std::ref(pointer));
#elif defined(CASE_vector_of_pointers)          // expect: this type holds, or may hold, Python objects or a token
    py.detach([](std::vector<struct _object *>) {}, std::vector<struct _object *>());
#elif defined(CASE_token_in_tuple)              // expect: this type holds, or may hold, Python objects or a token
    py.detach([](std::tuple<int, token>) {}, std::make_tuple(1, py));
#elif defined(CASE_class_that_holds_one)        // expect: this type holds, or may hold, Python objects or a token
    py.detach([](unlisted) {}, unlisted());
#elif defined(CASE_reference_to_class)          // expect: template <> struct pyattach::detach_safe<your_class>
    unlisted shared;
    py.detach([](unlisted &) {}, std::ref(shared));
#elif defined(CASE_function_object_as_argument) // expect: this type holds, or may hold, Python objects or a token
    py.detach([](std::function<void()>) {}, std::function<void()>());
#elif defined(CASE_scope_as_argument)           // expect: this type holds, or may hold, Python objects or a token
    attached here;
    py.detach([](attached &) {}, std::ref(here));
#elif defined(CASE_capture)                     // expect: the function must capture nothing
    py.detach([numbers] {});
#elif defined(CASE_capture_of_token)            // expect: the function must capture nothing
    py.detach([py] { return py.eval("1"); });
#elif defined(CASE_capture_by_reference)        // expect: vouch for the closure with py.detach_unchecked
    py.detach([&] { seen.get(); });
#elif defined(CASE_std_function)                // expect: the function must capture nothing
    py.detach(std::function<void()>());
#elif defined(CASE_function_that_is_a_token)    // expect: the function must capture nothing
    struct called : token {
        explicit called(token from) : token(from) {}
        void operator()() const {}
    };
    py.detach(called(py));
#elif defined(CASE_reference_parameter)         // expect: the function cannot be called with these arguments
    py.detach([](std::vector<int> &) {}, numbers);
#elif defined(CASE_wrong_arguments)             // expect: the function cannot be called with these arguments
    py.detach([](int) {}, "text");
#elif defined(CASE_uncopyable)                  // expect: Move it in with std::move, or share it with std::ref
    py.detach([](std::unique_ptr<int>) {}, number);
#elif defined(CASE_result_is_token)             // expect: a token or a borrowed cannot come out of a detached scope
    py.detach([] { return token::assume(); });
#elif defined(CASE_nothrow_with_result)         // expect: let the function return nothing, and hand results out
    static_cast<void>(py.detach(std::nothrow, [] { return 1; }));
#elif defined(CASE_nothrow_with_token)          // expect: a token cannot go along
    static_cast<void>(py.detach(
        std::nothrow, [](token) {}, py));
#endif
}
