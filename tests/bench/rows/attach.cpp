// Attaching, nested and from outside; detaching; attaching to call a Python function; a token handed down.
#include <pyattach/pyattach.h>
#include <pyattach/pyattach.hpp>

#include <optional>
#include <type_traits>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

enum class thread_is { attached, attached_by_python, without_state };

// One job of one peer, done by a thread that is in the state said.
void add_job(const char *job, const peer &of, void (*batch)(long), thread_is state_before, bool is_heap_busy = false) {
    add(job, of.name, [&of, batch, state_before, is_heap_busy](benchmark::State &state) {
        if (is_heap_busy) {
            attached_by_c_api here;
            churn();
        }
        // Whatever state the thread keeps would be found by the peers, and make theirs cheap.
        if (state_before != thread_is::attached && pyattach_thread_release() != PYATTACH_OK)
            state.SkipWithError("the thread cannot be made one without a thread state");
        if (of.prepare)
            of.prepare();
        {
            std::optional<pyattach::attached> here;
            std::optional<attached_by_c_api> by_python;
            if (state_before == thread_is::attached)
                here.emplace();
            if (state_before == thread_is::attached_by_python)
                by_python.emplace();
            measure(state, batch);
        }
        if (of.finish)
            of.finish();
    });
}

void add_call_job(const peer &of) {
    add("attach and call", of.name, [&of](benchmark::State &state) {
        object *function;
        {
            attached_by_c_api here;
            function = new_function();
        }
        if (pyattach_thread_release() != PYATTACH_OK)
            state.SkipWithError("the thread cannot be made one without a thread state");
        if (of.prepare)
            of.prepare();
        measure(state, [&](long n) { of.call(function, n); });
        if (of.finish)
            of.finish();
        attached_by_c_api here;
        give_back(function);
    });
}

// Passed by value it is nothing: no register, no instruction.
static_assert(std::is_empty_v<pyattach::token> && std::is_trivially_copyable_v<pyattach::token>);

// What a function costs that takes a token, against the same without. Aligned: where a loop or a function begins makes
// more of a difference than anything in it.
__attribute__((noinline, aligned(64))) long with_token(long value, pyattach::token) {
    benchmark::DoNotOptimize(value);
    return value + 1;
}
__attribute__((noinline, aligned(64))) long without_token(long value) {
    benchmark::DoNotOptimize(value);
    return value + 1;
}

__attribute__((noinline, aligned(64))) void call_with_token(long n) {
    pyattach::token py = pyattach::token::assume();
    for (long value = 0; value < n;)
        value = with_token(value, py);
}
__attribute__((noinline, aligned(64))) void call_without_token(long n) {
    for (long value = 0; value < n;)
        value = without_token(value);
}

void add_token_rows() {
    add("token", "pyattach", [](benchmark::State &state) {
        pyattach::attached here;
        measure(state, call_with_token);
    });
    add("token", "no token", [](benchmark::State &state) { measure(state, call_without_token); });
}

} // namespace

void add_attach_rows() {
    for (const peer *of : peers()) {
        if (of->nested)
            add_job("nested", *of, of->nested, thread_is::attached);
        if (of->nested)
            add_job("nested, Python thread", *of, of->nested, thread_is::attached_by_python);
        if (of->attach)
            add_job("attach", *of, of->attach, thread_is::without_state);
        if (of->attach && of != &pyattach_cpp)
            add_job("attach, busy heap", *of, of->attach, thread_is::without_state, true);
        if (of->detach)
            add_job("detach", *of, of->detach, thread_is::attached);
        if (of->detach)
            add_job("detach, Python thread", *of, of->detach, thread_is::attached_by_python);
        if (of->call)
            add_call_job(*of);
    }
    add_token_rows();
}

} // namespace bench
