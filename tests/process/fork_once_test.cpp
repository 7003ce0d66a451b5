// A once whose initializer was running at a fork.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>

#include "support/fork.hpp"

using namespace support;

namespace {

pyattach_once shared_once = PYATTACH_ONCE_INIT;
int initialized = 0;

pyattach_status count_up(void *) {
    ++initialized;
    return PYATTACH_OK;
}

// What a child does with a once of whose initializer it has no thread: several threads want it at once.
void run_anew() {
    initialized = 0;
    barrier together("the threads to be there", 3);
    auto want_it = [&] {
        together.arrive_and_wait();
        EXPECT(pyattach_once_run(&shared_once, count_up, nullptr) == PYATTACH_OK);
    };
    task thread("a thread of the child to end", want_it), other("a thread of the child to end", want_it);
    want_it();
    thread.join();
    other.join();
    EXPECT(initialized == 1);
}

void fork_while_another_initializes(const std::function<void()> &fork_there) {
    static latch is_under_way("the initializer to run"), may_end("permission to end");
    task other("the initializing thread to end", [] {
        auto wait_there = [](void *) {
            is_under_way.count_down();
            may_end.wait();
            return PYATTACH_OK;
        };
        EXPECT(pyattach_once_run(&shared_once, wait_there, nullptr) == PYATTACH_OK);
    });
    is_under_way.wait();
    task waiting("the waiting thread to end",
                 [] { EXPECT(pyattach_once_run(&shared_once, count_up, nullptr) == PYATTACH_OK); });
    waiting.wait_until_asleep();
    fork_there();
    may_end.count_down();
    other.join();
    waiting.join();
    EXPECT(initialized == 0); // the parent's is the one that was under way
}

} // namespace

CHILD("once: forked without Python") {
    fork_while_another_initializes([] {
        fork_plainly([] {
            fork_plainly(run_anew); // a grandchild, of which the child has not run it
            run_anew();
        });
    });
}
TEST_CASE("a once that another thread was initializing at the fork runs anew in the child, without any Python") {
    check_succeeds("once: forked without Python");
}

CHILD("once: forked by Python") {
    start_python();
    fork_while_another_initializes([] {
        attached here;
        fork_in_python([] {
            detached detached_frame;
            run_anew();
        });
    });
    EXPECT(!stop_python());
}
TEST_CASE("a once that another thread was initializing at os.fork() runs anew in the child") {
    check_succeeds("once: forked by Python");
}

CHILD("once: forked by its initializer") {
    static std::unique_ptr<task> other; // of the child
    auto fork_inside = [](void *) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            other = std::make_unique<task>("the other thread of the child to end", [] {
                EXPECT(pyattach_once_run(&shared_once, count_up, nullptr) == PYATTACH_OK);
                EXPECT(initialized == 10);
            });
            other->wait_until_asleep();
            initialized = 10;
            return PYATTACH_OK;
        }
        expect_exit_0(child);
        return PYATTACH_OK;
    };
    EXPECT(pyattach_once_run(&shared_once, fork_inside, nullptr) == PYATTACH_OK);
    if (!other)
        return;
    other->join();
    std::_Exit(0);
}
TEST_CASE("a thread that forks in an initializer is waited for in the child, too, for it is there") {
    check_succeeds("once: forked by its initializer");
}

CHILD("once: a mutex of a thread that is not there") {
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    latch is_locked("the mutex to be locked"), may_end("permission to end");
    task other("the other thread to end", [&] {
        pyattach_mutex_lock(&mutex);
        is_locked.count_down();
        may_end.wait();
        pyattach_mutex_unlock(&mutex);
    });
    is_locked.wait();
    fork_plainly([] {
        EXPECT(pyattach_mutex_is_locked(&mutex));
        EXPECT(!pyattach_mutex_try_lock(&mutex));
        mutex = pyattach_mutex PYATTACH_MUTEX_INIT;
        pyattach_mutex_lock(&mutex);
        pyattach_mutex_unlock(&mutex);
    });
    may_end.count_down();
    other.join();
}
TEST_CASE("a mutex that another thread held at the fork stays locked in the child, and can be made anew there") {
    check_succeeds("once: a mutex of a thread that is not there");
}
