// Forks among pthread_atfork handlers of other libraries: pools of linear algebra and RPC libraries join their workers
// before a fork, and start them again after it. Handlers that are older than this library's run between its own.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <pthread.h>

#include "support/fork.hpp"

using namespace support;

namespace {

// What the older handlers call; NULL: nothing.
std::function<void()> before, in_parent, in_child;
void call(const std::function<void()> &handler) {
    if (handler)
        handler();
}

// These handlers are older than the library's, which it registers when it first finds Python.
void start_python_after_the_handlers() {
    pthread_atfork([] { call(before); }, [] { call(in_parent); }, [] { call(in_child); });
    start_python();
}

void use_everything() {
    use_python();
    ref reference;
    {
        attached here;
        reference = new_object();
    }
    reference.drop();
    pyattach_set_message_handler(nullptr, nullptr);
}

// A worker that uses the library until it is told to end, and once more then.
class worker {
  public:
    worker()
        : task_("a worker to end", [this] {
              use_everything();
              is_ready_.count_down();
              may_end_.wait();
              use_everything();
              run_on_thread(use_everything);
          }) {
        is_ready_.wait();
    }
    void join() {
        may_end_.count_down();
        task_.join();
    }

  private:
    latch is_ready_{"a worker to be ready"}, may_end_{"permission to end"};
    task task_;
};

void use_and_finalize_in_child() {
    before = in_parent = in_child = nullptr;
    {
        detached detached_frame;
        run_on_thread(use_everything);
        use_everything();
    }
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
}

} // namespace

CHILD("handlers: joined before") {
    start_python_after_the_handlers();
    std::unique_ptr<worker> held_worker;
    before = [&] {
        if (held_worker)
            held_worker->join();
        held_worker.reset();
    };
    for (int i = 0; i < 3; ++i) {
        held_worker = std::make_unique<worker>();
        fork_plainly([] {});
    }
    // os.fork() keeps the GIL, so the worker must not need Python to get to its end.
    latch is_ready("a worker to be ready"), may_end("permission to end");
    task other("a worker to end", [&] {
        use_python(); // has a warm state, which the library takes over when the thread ends
        is_ready.count_down();
        may_end.wait();
    });
    is_ready.wait();
    before = [&] {
        may_end.count_down();
        other.join();
    };
    {
        attached here;
        fork_in_python(use_and_finalize_in_child);
    }
    before = nullptr;
    EXPECT(!stop_python());
}
TEST_CASE("a fork waits for workers that an older handler joins, and they can end meanwhile") {
    check_succeeds("handlers: joined before");
}

CHILD("handlers: started after") {
    start_python_after_the_handlers();
    use_python();
    in_parent = [] { worker().join(); };
    for (int i = 0; i < 3; ++i)
        fork_plainly([] {});
    in_parent = [] {
        // The forking thread is still attached, so the worker can decref without Python only.
        run_on_thread([] {
            pyattach_once once = PYATTACH_ONCE_INIT;
            EXPECT(pyattach_once_run(
                       &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_OK);
            EXPECT(pyattach_pool_size() == 0);
        });
    };
    {
        attached here;
        fork_in_python(use_and_finalize_in_child);
    }
    in_parent = nullptr;
    EXPECT(!stop_python());
}
TEST_CASE("a worker that an older handler starts after a fork, and waits for, is not held up by the fork") {
    check_succeeds("handlers: started after");
}

CHILD("handlers: used by themselves") {
    start_python_after_the_handlers();
    use_python();
    std::atomic<int> called{0};
    before = in_parent = [&] {
        ++called;
        use_everything();
    };
    in_child = [&] {
        ++called;
        // The library's own handler has not run yet: calls may fail but must not wait.
        pyattach_attached scope;
        if (pyattach_attached_begin(&scope) == PYATTACH_OK)
            pyattach_attached_end(&scope);
        pyattach_pool_size();
        pyattach_set_message_handler(nullptr, nullptr);
    };
    fork_plainly([&] { EXPECT(called == 2); });
    {
        attached here;
        fork_in_python([&] {
            EXPECT(called == 4);
            use_and_finalize_in_child();
        });
    }
    EXPECT(called == 4);
    before = in_parent = in_child = nullptr;
    EXPECT(!stop_python());
}
TEST_CASE("handlers of other libraries may use this one on the forking thread") {
    check_succeeds("handlers: used by themselves");
}

CHILD("handlers: two threads fork") {
    start_python_after_the_handlers();
    use_python();
    auto fork_often = [] {
        for (int i = 0; i < 50; ++i)
            fork_plainly([] { pyattach_pool_size(); });
    };
    task thread("a forking thread to end", fork_often), other("a forking thread to end", fork_often);
    for (int i = 0; i < 200; ++i)
        run_on_thread(use_everything);
    thread.join();
    other.join();
    EXPECT(!stop_python());
}
TEST_CASE("two threads fork while others come and go") { check_succeeds("handlers: two threads fork"); }
