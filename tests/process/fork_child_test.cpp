// What a forked child keeps and what it drops. Many forks at once: tests/stress/fork_storm_test.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <csignal>
#include <memory>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/fork.hpp"
#include "support/host.hpp"

using namespace support;

CHILD("a child with queued references") {
    start_python();
    attached here;
    run("deaths = []");
    ref reference = object_with_finalizer("deaths.append('mine')"),
        theirs = object_with_finalizer("deaths.append('theirs')");
    {
        detached gap;
        run_on_thread([&] { theirs.drop(); }); // that thread has ended
        reference.drop();
        EXPECT(pyattach_pool_size() == 2);
        // A drain at the re-attach would release them before the fork.
        pyattach_set_drain_budget(0);
    }
    EXPECT(pyattach_pool_size() == 2);
    fork_in_python([] {
        EXPECT(pyattach_pool_size() == 2);
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        EXPECT(eval_text("' '.join(sorted(deaths))") == "mine theirs");
        EXPECT(all_counters().drops_leaked == 0);
    });
    EXPECT(pyattach_pool_size() == 2); // the parent's are its own
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(eval_int("len(deaths)") == 2);
}
TEST_CASE("references that were queued before a fork are released in the child and in the parent") {
    check_succeeds("a child with queued references");
}

CHILD("a child of which a thread used an ended Python") {
    start_python();
    latch queued("the other thread to use Python"), may_end("permission to end");
    task other("the other thread to end", [&] {
        ref reference;
        {
            attached here;
            reference = new_object();
        }
        reference.drop();
        queued.count_down();
        may_end.wait();
        use_python();
    });
    queued.wait();
    EXPECT(!stop_python());
    start_python();
    {
        attached here;
        fork_in_python([] {
            EXPECT(pyattach_pool_size() == 0);
            use_python();
        });
    }
    may_end.count_down();
    other.join();
    EXPECT(!stop_python());
}
TEST_CASE("a fork child drops the queue of an absent thread from an earlier generation") {
    check_succeeds("a child of which a thread used an ended Python");
}

CHILD("a child of which a thread was draining") {
    start_python();
    static latch draining("a drain to be under way"), may_go_on("permission to go on");
    pyattach_set_drain_budget(0);
    {
        attached here;
        publish("pause", native_function([] {
                    detached gap;
                    draining.count_down();
                    may_go_on.wait();
                }));
    }
    task drain("the draining thread to end", [] {
        attached here; // the thread that made them: without a GIL others leave the end of an object to it
        ref blocking = object_with_finalizer("pause()");
        std::vector<ref> others;
        for (int i = 0; i < 5; ++i)
            others.push_back(new_object());
        {
            detached gap;
            blocking.drop();
            others.clear();
        }
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    });
    draining.wait();
    {
        attached here;
        fork_in_python([] {
            // A thread that the child does not have held five in its batch, and was releasing the sixth.
            EXPECT(all_counters().drops_leaked == 5);
            EXPECT(pyattach_pool_size() == 0);
            ref reference = new_object();
            detached gap;
            reference.drop();
            EXPECT(pyattach_pool_size() == 1);
        });
    }
    may_go_on.count_down();
    drain.join();
    EXPECT(all_counters().drops_leaked == 0);
    EXPECT(!stop_python());
}
TEST_CASE("a batch that another thread was releasing at the fork is counted as leaked in the child") {
    check_succeeds("a child of which a thread was draining");
}

CHILD("a child among warm and detached threads") {
    start_python();
    use_python();
    bystanders others(6);
    auto fork_and_live = [] {
        void *tstate = current_tstate();
        auto counted = all_counters();
        fork_in_python([&] {
            EXPECT(current_tstate() == tstate);
            EXPECT(all_counters().attaches >= counted.attaches); // what ended and forgotten threads did still counts
            EXPECT(all_counters().states_dead == 0);
            EXPECT(eval_int("1") == 1);
            run("import threading\n"
                "assert threading.main_thread() is threading.current_thread()\n"
                "assert threading.active_count() == 1, threading.enumerate()\n");
            {
                detached gap;
                for (int i = 0; i < 3; ++i)
                    run_on_thread(use_python);
                use_python();
            }
            EXPECT(current_tstate() == tstate);
            fork_in_python([] { run_on_thread([] {}); });
        });
    };
    {
        attached here;
        fork_and_live();
    }
    run_on_thread([&] {
        attached here;
        fork_and_live();
    });
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("the forking thread keeps its tstate in the child, and the others' records are dropped") {
    check_succeeds("a child among warm and detached threads");
}

CHILD("a child with the seats of ended threads") {
    start_python();
    // What ended threads left is between what the bystanders have.
    for (int i = 0; i < 20; ++i)
        run_on_thread(use_python);
    bystanders others(4);
    for (int i = 0; i < 20; ++i)
        run_on_thread(use_python);
    {
        attached here;
        fork_in_python([] {
            static latch exit_began("the exit to begin");
            auto begins = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
            EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), begins, nullptr) == PYATTACH_OK);
            constexpr int threads = 24; // more than were left
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
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
            EXPECT(left == threads);
        });
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a fork child's exit waits for all threads inside, also for those with recycled participants") {
    check_succeeds("a child with the seats of ended threads");
}

CHILD("a child of a native thread that ends Python") {
    start_python();
    bystanders others(4);
    run_on_thread([&] {
        attached here;
        run("import atexit; atexit.register(lambda: print('ended', flush=True))");
        fork_in_python([&] {
            run_on_thread([] {});
            ref waiting = new_object();
            {
                detached gap;
                waiting.drop();
            }
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
        });
    });
    others.let_go();
    EXPECT(!stop_python());
}

// What CPython does without the library.
CHILD("plainly: a child of a native thread that ends Python") {
    start_as_host();
    foreign_detach gap;
    run_on_thread([] {
        foreign_attach here;
        pid_t child = fork_by_os();
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL); // that CPython crashes here is nothing for a sanitizer to report
            std::_Exit(cpython<int()>("Py_FinalizeEx")() == 0 ? 0 : 9);
        }
        foreign_detach waiting;
        expect_exit_0(child);
    });
    std::_Exit(0);
}

TEST_CASE("a child forked by a native thread finalizes Python in order") {
    child_result plain = run_child("plainly: a child of a native thread that ends Python");
    if (plain.exit_code != 0) {
        // From 3.13 on Py_FinalizeEx goes back to the main thread's state, which the fork has freed.
        WARN("this CPython cannot end in a child that another thread forked: " << plain.describe());
        return;
    }
    child_result result = run_child("a child of a native thread that ends Python");
    check_succeeds(result);
    CHECK(result.output == "ended\nended\n");
}

CHILD("multiprocessing") {
    start_python();
    bystanders others(4);
    {
        attached here;
        publish("work", native_function([] {
                    detached gap;
                    for (int i = 0; i < 3; ++i)
                        run_on_thread(use_python);
                    use_python();
                }));
        run("import multiprocessing, warnings\n"
            "warnings.simplefilter('ignore')\n"
            "context = multiprocessing.get_context('fork')\n"
            "for _ in range(3):\n"
            "    processes = [context.Process(target=work) for _ in range(3)]\n"
            "    for one in processes: one.start()\n"
            "    for one in processes: one.join()\n"
            "    assert [one.exitcode for one in processes] == [0, 0, 0], processes\n");
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("processes of multiprocessing that are forked among native threads work and exit with 0") {
    check_succeeds("multiprocessing");
}
