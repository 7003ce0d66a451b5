// A fork while the states of ended threads are being deleted, by another thread and by the one that forks.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>

#include "api/thread_states.hpp"
#include "process/forked.hpp"

using namespace support;

namespace {

// A newcomer deletes the states of ended threads, in which `in_deletion` runs, and then does the rest.
std::unique_ptr<task> start_deletion(std::function<void()> in_deletion, std::function<void()> rest = use_python) {
    start_python();
    {
        attached here;
        make_local();
        publish("in_deletion", native_function(std::move(in_deletion)));
        run("class Held:\n    def __del__(self): in_deletion()\n");
    }
    // All at once, or the later ones would delete what earlier ones left.
    constexpr int threads = 80; // more than may wait
    barrier all_there("the others to come", threads);
    std::vector<std::unique_ptr<task>> all;
    for (int i = 0; i < threads; ++i)
        all.push_back(std::make_unique<task>("one of many threads to end", [&all_there, i] {
            {
                attached here;
                if (i == 0)
                    run("local.value = Held()");
            }
            all_there.arrive_and_wait();
        }));
    for (auto &one : all)
        one->join();
    return std::make_unique<task>("the thread that deletes to end", std::move(rest));
}

// Ends Python here, while more threads are inside than there are seats.
bool ends_with_threads_inside() {
    static latch exit_began("the exit to begin");
    auto begins = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), begins, nullptr) == PYATTACH_OK);
    constexpr int threads = 24;
    latch inside("the threads to be inside", threads);
    std::atomic<int> left{0};
    std::vector<std::unique_ptr<task>> all;
    for (int i = 0; i < threads; ++i)
        all.push_back(std::make_unique<task>("a thread inside to end", [&] {
            attached there;
            foreign_detach gap;
            inside.count_down();
            exit_began.wait();
            ++left;
        }));
    {
        detached gap;
        inside.wait();
    }
    return cpython<int()>("Py_FinalizeEx")() == 0 && left == threads;
}

} // namespace

CHILD("a child of which a thread was deleting states") {
    static latch deleting("a deletion"), may_go_on("permission to go on");
    auto newcomer = start_deletion([] {
        detached gap;
        deleting.count_down();
        may_go_on.wait();
    });
    deleting.wait();
    {
        attached here;
        fork_in_python([] {
            EXPECT(all_counters().states_dead == 0);
            {
                detached gap;
                for (int i = 0; i < 100; ++i)
                    run_on_thread(use_python);
            }
            EXPECT(all_counters().states_deleted > 0);
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
        });
    }
    may_go_on.count_down();
    newcomer->join();
    EXPECT(!stop_python());
}
TEST_CASE("a child of which another thread was deleting states goes on without them") {
    load_python();
    if (keeps_states())
        check_succeeds("a child of which a thread was deleting states");
}

CHILD("a child that goes on deleting states") {
    static pid_t child = -1;
    auto fork_within = [] {
        run("import warnings; warnings.simplefilter('ignore')");
        child = fork_by_os();
        if (child == 0) {
            alarm(20);
            return;
        }
        detached gap;
        expect_exit_0(child);
    };
    start_deletion(fork_within, [] {
        attached here;
        if (child == 0)
            std::_Exit(ends_with_threads_inside() ? 0 : 9);
    })->join();
    EXPECT(child > 0);
    EXPECT(!stop_python());
}
TEST_CASE("a child forked by a destructor of what is deleted deletes the rest, and its exit waits for all") {
    load_python();
    if (keeps_states())
        check_succeeds("a child that goes on deleting states");
}
