// Daemons: programs that load Python, fork without its hooks, and continue in the child.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <functional>
#include <memory>
#include <vector>

#include "support/fork.hpp"

using namespace support;

namespace {

// Everything that a daemon does with Python. Not attached, on its main thread.
void live() {
    {
        attached here;
        run("import threading\n"
            "assert threading.main_thread() is threading.current_thread()\n"
            "assert threading.active_count() == 1, threading.enumerate()\n"
            "import decimal, logging\n" // not imported before
            "said = []\n"
            "logging.getLogger().addHandler(logging.StreamHandler())\n"
            "threads = [threading.Thread(target=said.append, args=(i,)) for i in range(4)]\n"
            "for one in threads: one.start()\n"
            "for one in threads: one.join()\n"
            "assert sorted(said) == [0, 1, 2, 3]\n");
        ref reference = new_object();
        detached gap;
        reference.drop();
        for (int i = 0; i < 3; ++i)
            run_on_thread(use_python);
    }
    use_python();
    fork_plainly([] { use_python(); }); // outside, once more
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}

// Attached. Python accepts another thread than the one that forked only once it is in order.
void expect_in_order() {
    detached gap;
    run_on_thread(use_python);
}

// Threads that have used Python and are detached, and tstates that ended threads left.
class idle_threads {
  public:
    idle_threads() {
        for (int i = 0; i < 3; ++i)
            run_on_thread(use_python);
        for (int i = 0; i < 3; ++i)
            all_.push_back(std::make_unique<task>("an idle thread to end", [this] {
                use_python();
                there_.count_down();
                may_end_.wait();
            }));
        there_.wait();
    }
    ~idle_threads() {
        may_end_.count_down();
        for (auto &each : all_)
            each->join();
    }

  private:
    latch there_{"the idle threads to be there", 3}, may_end_{"permission to end"};
    std::vector<std::unique_ptr<task>> all_;
};

// In the child of a raw fork: an attach is refused with a message.
void expect_refused(const char *words) {
    messages heard;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
    EXPECT_SENTENCE(heard.text().find(words) != std::string::npos, heard.text());
    EXPECT(pyattach_forked() == PYATTACH_UNSUPPORTED);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_UNSUPPORTED);
    long long pid = 0;
    EXPECT(pyattach_fork(&pid) == PYATTACH_UNSUPPORTED);
}

} // namespace

CHILD("daemon: at its first attach") {
    start_python();
    use_python();
    {
        idle_threads others;
        fork_plainly(live);
        // Forks twice, as daemons do.
        fork_plainly([] { fork_plainly(live); });
    }
    fork_plainly(live);
    use_python();
    EXPECT(!stop_python());
}
TEST_CASE("a child of a raw fork, made while no other thread was inside, uses Python from its first attach on") {
    check_succeeds("daemon: at its first attach");
}

CHILD("daemon: in scopes") {
    start_python();
    idle_threads others;
    {
        pyattach_attached scope, nested;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        fork_plainly([&] {
            EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
            expect_in_order();
            EXPECT(eval_int("6 * 7") == 42);
            pyattach_attached_end(&nested);
            pyattach_attached_end(&scope);
            live();
        });
        fork_plainly([&] {
            EXPECT(pyattach_forked() == PYATTACH_OK);
            EXPECT(pyattach_is_attached());
            expect_in_order();
            EXPECT(eval_int("6 * 7") == 42);
            pyattach_attached_end(&scope);
            live();
        });
        fork_plainly([&] { // it never uses Python
            pyattach_attached_end(&scope);
            EXPECT(!pyattach_is_attached());
        });
        fork_plainly([&] {
            pyattach_attached_end(&scope);
            live();
        });
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        fork_plainly([&] {
            EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
            expect_in_order();
            EXPECT(eval_int("6 * 7") == 42);
            pyattach_attached_end(&scope);
            live();
        });
        fork_plainly([&] {
            use_python();
            EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
            pyattach_attached_end(&scope);
            live();
        });
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
        pyattach_attached_end(&scope);
    }
    use_python();
}
TEST_CASE("scopes open at a raw fork continue in the child, and Python is repaired at its next use") {
    check_succeeds("daemon: in scopes");
}

CHILD("daemon: said by itself") {
    start_python();
    use_python();
    {
        attached here;
        run("import os\n"
            "hooks = []\n"
            "os.register_at_fork(before=lambda: hooks.append('before'), after_in_child=lambda: "
            "hooks.append('child'))\n");
    }
    fork_plainly([] {
        messages heard;
        pyattach_attached scope;
        EXPECT(run_on_thread([&] { return pyattach_attached_begin(&scope); }) == PYATTACH_UNSUPPORTED);
        EXPECT(run_on_thread([] { return pyattach_forked(); }) == PYATTACH_UNSUPPORTED);
        EXPECT(heard.text().find("the thread that forked has not put Python in order yet") != std::string::npos);
        EXPECT(pyattach_forked() == PYATTACH_OK);
        run_on_thread(use_python);
        EXPECT(pyattach_forked() == PYATTACH_OK); // nothing to do
        {
            attached here;
            EXPECT(eval_text("' '.join(hooks)") == "before child");
        }
        live();
    });
    run_on_thread([] {
        fork_plainly([] {
            messages heard;
            pyattach_attached scope;
            // Python's main thread had a state, of which nothing is known.
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
        });
    });
    use_python();
    EXPECT(!stop_python());
}
TEST_CASE(
    "pyattach_forked repairs Python for the other threads of the child, once, with the os.register_at_fork hooks") {
    check_succeeds("daemon: said by itself");
}

CHILD("daemon: its parent is gone") {
    // This process waits for what the daemon writes.
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        alarm(40);
        start_python();
        use_python();
        const pid_t own_pid = getpid();
        if (fork() != 0)
            std::_Exit(0);
        alarm(40);
        try {
            wait_until("the parent to be gone", [own_pid] { return getppid() != own_pid; });
            live();
            EXPECT(write(ends[1], "y", 1) == 1);
        } catch (const std::exception &error) {
            std::fprintf(stderr, "in the daemon: %s\n", error.what());
        }
        std::fflush(stdout);
        std::_Exit(0);
    }
    close(ends[1]);
    expect_exit_0(parent);
    char said = 'n';
    EXPECT(read(ends[0], &said, 1) == 1); // 0: all have closed their ends
    EXPECT(said == 'y');
}
TEST_CASE("a daemon whose parent has exited uses Python and finalizes it") {
    check_succeeds("daemon: its parent is gone");
}

CHILD("daemon: refused") {
    start_python();
    {
        bystanders others(2); // one is in a gap
        fork_plainly([] {
            expect_refused("another thread was inside Python");
            fork_plainly([] { expect_refused("another thread was inside Python"); });
        });
        others.let_go();
    }
    {
        latch is_there("the foreign thread to be there"), may_go("permission to go");
        task other("a thread of another library's to end", [&] {
            foreign_attach there;
            foreign_detach gap;
            is_there.count_down();
            may_go.wait();
        });
        is_there.wait();
        fork_plainly([] { expect_refused("Python knew other threads"); });
        may_go.count_down();
    }
    {
        attached here;
        run("import threading\n"
            "may_go = threading.Event()\n"
            "other = threading.Thread(target=may_go.wait)\n"
            "other.start()\n");
        {
            detached gap;
            fork_plainly([] { expect_refused("Python knew other threads"); });
        }
        run("may_go.set(); other.join()");
    }
    {
        attached here;
        sub_interpreter other;
        detached gap;
        fork_plainly([] { expect_refused("sub-interpreters"); });
    }
    fork_plainly(live); // all of them are gone
    use_python();
    EXPECT(!stop_python());
}
TEST_CASE("a child of a raw fork is refused Python where another thread was inside or may have been, and told why") {
    check_succeeds("daemon: refused");
}
