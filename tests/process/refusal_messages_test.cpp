// The messages of refusals: each says what happened and what to do. Those of a stop are in
// stop_refused_test, those of a fork in the fork tests, those of loading in find_python_test.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstdint>
#include <functional>
#include <string>

using namespace support;

namespace {

// Checks that the call is refused with `status`, and that the message handler gets one message with these words.
void expect_told(const char *words, pyattach_status status, const std::function<pyattach_status()> &call) {
    messages said;
    EXPECT_SENTENCE(call() == status, words);
    const std::string first = said.text();
    EXPECT_SENTENCE(first.find(words) != std::string::npos, std::string(words) + " is not in: " + first);
    EXPECT(call() == status);
    EXPECT_SENTENCE(said.text() == first, said.text());
}

} // namespace

CHILD("refused for want of a Python that runs") {
    load_python();
    expect_told("Start it with pyattach_interpreter_start", PYATTACH_NOT_INITIALIZED, try_to_attach);
    expect_told("Start it with pyattach_interpreter_start", PYATTACH_NOT_INITIALIZED, [] {
        pyattach_attached scope;
        return pyattach_attached_begin_unchecked(&scope);
    });
    expect_told("Call it once after each start", PYATTACH_NOT_INITIALIZED, pyattach_interpreter_stop);
    start_python();
    EXPECT(!stop_python());
    expect_told("it was never started, or it has ended", PYATTACH_NOT_INITIALIZED, try_to_attach);
}
TEST_CASE("attaching and stopping where no Python runs say what to do") {
    check_succeeds("refused for want of a Python that runs");
}

CHILD("refused in the wrong state") {
    start_python();
    expect_told("struct_size is zero", PYATTACH_INVALID, [] {
        pyattach_start_options options{};
        return pyattach_interpreter_start_with(&options);
    });
    expect_told("pyattach_attached_begin_with: struct_size of the options is zero", PYATTACH_INVALID, [] {
        pyattach_attached scope;
        pyattach_attach_options options{};
        return pyattach_attached_begin_with(&scope, &options);
    });
    expect_told("is not registered with this argument", PYATTACH_INVALID, [] {
        return pyattach_exit_callback_remove(
            pyattach_interpreter_main(), [](pyattach_interpreter *, void *) {}, nullptr);
    });
    attached here;
    expect_told("End the scopes of this thread first", PYATTACH_INVALID, pyattach_thread_release);
    ref number = eval("42");
    expect_told("the object is not an exception", PYATTACH_INVALID, [&] { return pyattach_error_restore(number); });
    // A size that only a mistake can give. The data must not be read.
    object *made = number;
    expect_told("pyattach_from_utf8: the size is out of range", PYATTACH_INVALID,
                [&] { return pyattach_from_utf8("", SIZE_MAX, &made); });
    EXPECT(made == nullptr);
    expect_told("pyattach_from_bytes: the size is out of range", PYATTACH_INVALID,
                [&] { return pyattach_from_bytes("", SIZE_MAX, &made); });
    object *const arguments[] = {number};
    expect_told("pyattach_call: the size is out of range", PYATTACH_INVALID,
                [&] { return pyattach_call(number, arguments, SIZE_MAX, &made); });
    forbidden traverse;
    for (const std::function<pyattach_status()> &call : std::initializer_list<std::function<pyattach_status()>>{
             try_to_attach, pyattach_interpreter_start, pyattach_interpreter_stop, pyattach_thread_release,
             pyattach_thread_prepare, pyattach_check_signals, pyattach_pool_drain,
             [] { return pyattach_run("1", nullptr, nullptr); },
             [] { return try_to_attach_in(pyattach_interpreter_main()); },
             [] {
                 pyattach_detached scope;
                 return pyattach_detached_begin(&scope);
             },
             [&] {
                 pyattach_critical_section scope;
                 return pyattach_critical_section_begin(&scope, number);
             }})
        expect_told("inside a forbidden scope", PYATTACH_FORBIDDEN, call);
}
TEST_CASE("each refusal tells the message handler what was wrong and what to do, once") {
    check_succeeds("refused in the wrong state");
}
