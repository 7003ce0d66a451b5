// A thread that CPython ends at exit by unwinding its stack, as it does up to 3.13.7, through scopes of this library.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/last_call.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <pthread.h>

using namespace support;

namespace {

latch is_away("the thread to detach"), may_come_back("Python to be ending");
bool came_back = false;

// Not a `task`, which catches everything: the unwinding has to reach the bottom of the stack.
void *go_away_inside_a_scope(void *) {
    attached here;
    attached nested;
    void *state = cpython<void *()>("PyEval_SaveThread")();
    is_away.count_down();
    may_come_back.wait();
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    came_back = true;
    return nullptr;
}

} // namespace

CHILD("unwound by CPython inside a scope") {
    start_python();
    if (python_version() >= 0x030d0800)
        return; // CPython hangs the thread
    pyattach_set_exit_timeout(10 * 1000000LL);
    static pthread_t thread;
    {
        attached here;
        call_at_the_very_end([] {
            may_come_back.count_down();
            EXPECT(pthread_join(thread, nullptr) == 0);
        });
    }
    EXPECT(pthread_create(&thread, nullptr, go_away_inside_a_scope, nullptr) == 0);
    is_away.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT(may_come_back.is_open());
    EXPECT(!came_back);
}
TEST_CASE("scopes may end during the forced unwind of a thread that CPython refuses at exit") {
    check_succeeds("unwound by CPython inside a scope");
}
