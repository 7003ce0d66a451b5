// The child of a raw fork() with other threads inside Python: scopes that were open there end without a call of Python.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <functional>

#include "support/fork.hpp"
#include "support/waiting_thread.hpp"

using namespace support;

namespace {

// Calls `fork_there` on a thread that is attached while another one waits to be: that one has asked CPython for the
// GIL, and a thread that releases it waits until it was taken. Some forks go by until the request is there.
// Without a GIL nothing waits, so a thread in a gap is inside, too.
void with_a_waiting_thread(const std::function<void()> &fork_there) {
    bystanders others(2);
    attached here;
    waiting_thread other;
    for (int i = 0; i < 30; ++i)
        fork_there();
    here.end();
    other.join();
    others.let_go();
}

bool says(const messages &heard, const char *words) { return heard.text().find(words) != std::string::npos; }

} // namespace

CHILD("raw: the outermost scope ended in the child") {
    start_python();
    bystanders others(2); // one is in a gap
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    waiting_thread waiting;
    for (int i = 0; i < 30; ++i)
        fork_plainly([&] {
            pyattach_attached_end(&scope);
            EXPECT(!pyattach_is_attached());
            EXPECT(pyattach_attach_depth() == 0);
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
        });
    for (int i = 0; i < 30; ++i)
        fork_plainly([&] {
            pyattach_detached detached_frame;
            EXPECT(pyattach_detached_begin(&detached_frame) == PYATTACH_UNSUPPORTED);
            pyattach_attached_end(&scope);
        });
    pyattach_attached_end(&scope);
    waiting.join();
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("the scope that attached the forking thread ends in the child at once, and nothing detaches there") {
    check_succeeds("raw: the outermost scope ended in the child");
}

CHILD("raw: everything else in the child") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    ref reference;
    {
        attached here;
        reference = new_object();
    }
    with_a_waiting_thread([&] {
        pyattach_critical_section section;
        EXPECT(pyattach_critical_section_begin(&section, reference.get()) == PYATTACH_OK);
        fork_plainly([&] {
            pyattach_critical_section_end(&section);
            EXPECT(pyattach_critical_section_begin(&section, reference.get()) == PYATTACH_UNSUPPORTED);
            EXPECT(pyattach_pool_drain() == PYATTACH_UNSUPPORTED);
            const size_t waiting = pyattach_pool_size();
            pyattach_decref(reference.get());
            EXPECT(pyattach_pool_size() == waiting + 1); // queued, as nothing may run there
            pyattach_mutex_lock(&mutex);
            task other("the other thread to have the mutex", [&] {
                pyattach_mutex_lock(&mutex);
                pyattach_mutex_unlock(&mutex);
            });
            other.wait_until_asleep();
            pyattach_mutex_unlock(&mutex);
            other.join();
            pyattach_once once = PYATTACH_ONCE_INIT;
            EXPECT(pyattach_once_run(
                       &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_OK);
            messages heard;
            EXPECT(pyattach_interpreter_stop() == PYATTACH_UNSUPPORTED);
            EXPECT(says(heard, "pyattach_interpreter_stop is refused"));
            EXPECT(says(heard, "pyattach_forked()"));
            pyattach_attached scope;
            EXPECT(run_on_thread([&] { return pyattach_attached_begin(&scope); }) == PYATTACH_UNSUPPORTED);
            EXPECT(says(heard, "attaching is refused"));
        });
        pyattach_critical_section_end(&section);
    });
    EXPECT(!stop_python());
}
TEST_CASE(
    "sections, drains, locks and finalization are refused with a reason in the child of a raw fork, and do not wait") {
    check_succeeds("raw: everything else in the child");
}

CHILD("raw: a thread of another library's") {
    start_python();
    bystanders others(2);
    run_on_thread([] {
        foreign_attach there; // has no record when it forks
        fork_plainly([] {
            EXPECT(!pyattach_is_attached());
            pyattach_detached detached_frame;
            EXPECT(pyattach_detached_begin(&detached_frame) == PYATTACH_UNSUPPORTED);
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
            EXPECT(!pyattach_is_attached()); // it has one now
        });
    });
    run_on_thread([] {
        foreign_attach there;
        {
            detached first; // so that the second one takes the fast path
        }
        detached detached_frame;
        fork_plainly([&] { EXPECT(detached_frame.end() == PYATTACH_UNSUPPORTED); });
    });
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a thread that another library attached counts as not attached in the child of a raw fork") {
    check_succeeds("raw: a thread of another library's");
}

CHILD("raw: the forking thread ends in the child") {
    start_python();
    bystanders others(2);
    run_on_thread([] {
        use_python();
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            return; // the last thread of the process, which ends with 0
        }
        expect_exit_0(child);
    });
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a thread with a warm tstate ends in the child of a raw fork") {
    check_succeeds("raw: the forking thread ends in the child");
}

// The inner scope took the state of the outer one out of the place where PyGILState looks; its end puts that back.
CHILD("raw: a visit from a sub-interpreter's gap") {
    start_python();
    latch is_away("the visitor to be in its gap"), has_attached("another thread to have attached"),
        has_forked("the fork to be over");
    attached here;
    sub_interpreter sub;
    pyattach_interpreter *there = sub.handle();
    here.end();
    task visitor("the visitor to end", [&] {
        attached outer(there);
        detached outer_gap;
        pyattach_attached inner;
        pyattach_detached detached_frame;
        EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&detached_frame) == PYATTACH_OK);
        is_away.count_down();
        has_attached.wait();
        fork_plainly([&] {
            EXPECT(pyattach_detached_end(&detached_frame) == PYATTACH_UNSUPPORTED);
            pyattach_attached_end(&inner); // nothing is put back: who has the GIL is not in this process
            EXPECT(!pyattach_is_attached());
        });
        has_forked.count_down();
        EXPECT(pyattach_detached_end(&detached_frame) == PYATTACH_OK);
        pyattach_attached_end(&inner);
    });
    {
        is_away.wait();
        attached again;
        has_attached.count_down();
        has_forked.wait(); // and keeps the GIL meanwhile
    }
    visitor.join();
    attached last;
    sub.end();
    last.end();
    EXPECT(!stop_python());
}
TEST_CASE("an attached scope begun in another interpreter's detached scope ends in the child of a raw fork") {
    check_succeeds("raw: a visit from a sub-interpreter's gap");
}
