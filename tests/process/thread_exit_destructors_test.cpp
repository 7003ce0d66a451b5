// Native threads that end: their TLS destructors may still use Python, and never block.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <pthread.h>

using namespace support;

namespace {

std::atomic<int> evaluated{0};

void use_python() {
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        return;
    object *result = nullptr;
    // Also to code that asks for this thread's state, although the thread's end empties the place where it looks.
    if (cpython<int()>("PyGILState_Check")() == 1 && pyattach_eval("6 * 7", nullptr, nullptr, &result) == PYATTACH_OK)
        ++evaluated;
    pyattach_decref(result);
    pyattach_attached_end(&scope);
}

struct uses_python_at_thread_end {
    ~uses_python_at_thread_end() { use_python(); }
};

pthread_key_t make_key() {
    pthread_key_t key;
    EXPECT(pthread_key_create(&key, [](void *) { use_python(); }) == 0);
    return key;
}

} // namespace

TEST_CASE("exit destructors of a thread may attach, whether they run before or after the library's own") {
    check_succeeds("destructors that attach");
}
CHILD("destructors that attach") {
    pthread_key_t before = make_key();
    start_python();
    run_on_thread([] { attached here; }); // the library has its own key now
    pthread_key_t after = make_key();
    for (int round = 0; round < 20; ++round) {
        evaluated = 0;
        run_on_thread([&] {
            static thread_local uses_python_at_thread_end local;
            (void)&local;
            pthread_setspecific(before, &evaluated);
            pthread_setspecific(after, &evaluated);
            attached here;
            EXPECT(eval_int("1") == 1);
        });
        EXPECT(evaluated == 3);
    }
    EXPECT(!stop_python());
}

CHILD("a thread that ends inside its scopes") {
    start_python();
    static pyattach_attached first, second; // storage that outlives the threads, as the heap would
    static pyattach_detached gap;
    run_on_thread([] {
        EXPECT(pyattach_attached_begin(&first) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        // ... and forgets to end them.
    });
    run_on_thread([] {
        EXPECT(pyattach_attached_begin(&second) == PYATTACH_OK);
        cpython<void *()>("PyEval_SaveThread")(); // or the GIL would be gone with it
    });
    {
        attached here;
        EXPECT(eval_int("1") == 1);
    }
    pyattach_set_exit_timeout(-1);
    EXPECT(!stop_python()); // a thread that has ended does not delay the exit
}
TEST_CASE("a thread that ends inside its scopes does not hold exit up") {
    check_succeeds("a thread that ends inside its scopes");
}

CHILD("fifty threads that come and go") {
    start_python();
    for (int round = 0; round < 50; ++round)
        run_on_thread([] {
            attached here;
            run("import threading; threading.current_thread().name");
            detached gap;
            attached again;
        });
    EXPECT(!stop_python());
}
TEST_CASE("finalization succeeds after many threads have attached and ended") {
    check_succeeds("fifty threads that come and go");
}

namespace {

// Threads that attach and detach until they are refused, started while Python runs and never told to stop.
void attach_in_a_loop(int threads) {
    static latch running("the attaching threads to run", threads);
    for (int i = 0; i < threads; ++i) {
        task thread("an attaching thread", [i] {
            bool first = true;
            for (;;) {
                pyattach_attached scope;
                pyattach_status status = pyattach_attached_begin(&scope);
                if (status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED)
                    return;
                if (status != PYATTACH_OK)
                    std::abort();
                object *result = nullptr;
                if (pyattach_eval("[i for i in range(10)]", nullptr, nullptr, &result) != PYATTACH_OK)
                    std::abort();
                pyattach_detached gap;
                if (i % 2 && pyattach_detached_begin(&gap) == PYATTACH_OK) {
                    pyattach_decref(result);
                    if (pyattach_detached_end(&gap) == PYATTACH_FINALIZING) {
                        pyattach_attached_end(&scope);
                        return;
                    }
                } else {
                    pyattach_decref(result);
                }
                pyattach_attached_end(&scope);
                if (std::exchange(first, false))
                    running.count_down();
            }
        });
        thread.abandon();
    }
    running.wait();
}

} // namespace

CHILD("attaching in a loop through finalization") {
    start_python();
    {
        attached here;
        run("deep = None\nfor i in range(100000): deep = [deep]"); // slows the end down
    }
    attach_in_a_loop(4);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("threads that attach in a loop during finalization are refused, and none is killed") {
    for (int round = 0; round < 5; ++round)
        check_succeeds("attaching in a loop through finalization");
}
