// Re-attaching to a sub-interpreter that ended, and leaving one.
//
// From 3.14: before, CPython aborts when a sub-interpreter ends that a thread has a state in.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>

#include "process/interpreter_kinds.hpp"

using namespace support;

namespace {

// A sub-interpreter that ends while a thread, which was attached to it, is attached to the main one.
class ending {
  public:
    ending() {
        start_python();
        pyattach_set_exit_timeout(10 * 1000000LL);
        attached here;
        main = pyattach_interpreter_main();
        sub_ = std::make_unique<sub_interpreter>(kind_asked_for());
        handle = sub_->handle();
    }
    // On the visitor's thread: attaches it to the sub-interpreter as other code does. The state is left to its end.
    void attach_as_other_code() {
        void *tstate = cpython<void *(void *)>("PyThreadState_New")(sub_->state());
        cpython<void(void *)>("PyEval_RestoreThread")(tstate);
    }
    // On the visitor's thread, inside the sub-interpreter.
    void visit_main() {
        attached visit(main);
        let_it_end();
        EXPECT(pyattach_interpreter_current() == main);
    }
    // Attached elsewhere.
    void let_it_end() {
        detached gap;
        await_end();
        EXPECT(gap.end() == PYATTACH_OK);
    }
    // Detached.
    void await_end() {
        is_visiting_.count_down();
        has_ended_.wait();
    }
    // On the visitor's thread, at last.
    void use_main() {
        EXPECT(pyattach_interpreter_current() == main);
        EXPECT(eval_int("6 * 7") == 42);
    }
    // On the first thread: ends the sub-interpreter, and then Python, when the visitor has returned.
    void end_and_join(task &visitor) {
        end();
        visitor.join();
        EXPECT(!stop_python());
    }
    // On the first thread: ends the sub-interpreter, and then this process, as the visitor is parked for ever.
    [[noreturn]] void end_and_abandon(task &visitor) {
        end();
        visitor.wait_until_asleep();
        EXPECT(!visitor.has_returned());
        visitor.abandon();
        end_child();
    }

    pyattach_interpreter *main = nullptr, *handle = nullptr;

  private:
    void end() {
        is_visiting_.wait();
        {
            attached here;
            sub_->end();
        }
        EXPECT(try_to_attach_in(handle) == PYATTACH_FINALIZING);
        has_ended_.count_down();
    }

    std::unique_ptr<sub_interpreter> sub_;
    latch is_visiting_{"the thread to visit the main interpreter"}, has_ended_{"the sub-interpreter to end"};
};

bool may_end_with_threads() {
    load_python();
    return python_version() >= 0x030e0000;
}

} // namespace

CHILD("a scope in an ended interpreter is come back to") {
    ending sub;
    task visitor("the visitor to end", [&] {
        pyattach_attached outer;
        EXPECT(pyattach_attached_begin_in(&outer, sub.handle) == PYATTACH_OK);
        sub.visit_main();
        EXPECT(pyattach_is_attached() == 0);
        EXPECT(pyattach_attach_depth() == 0);
        pyattach_attached_end(&outer); // inert
        attached again;
        sub.use_main();
    });
    sub.end_and_join(visitor);
}
TEST_CASE("a thread does not re-attach to an ended sub-interpreter: its scope there is inert") {
    if (may_end_with_threads())
        check_each_kind("a scope in an ended interpreter is come back to");
}

CHILD("other code in an ended interpreter is come back to") {
    ending sub;
    task visitor("the visitor to be parked", [&] {
        sub.attach_as_other_code();
        sub.visit_main();
        std::abort(); // there is nothing left to go on with
    });
    sub.end_and_abandon(visitor);
}
TEST_CASE("a thread that other code attached to a sub-interpreter that ended is parked, not re-attached") {
    if (may_end_with_threads())
        check_each_kind("other code in an ended interpreter is come back to");
}

CHILD("a visit to an ended interpreter is over") {
    ending sub;
    task visitor("the visitor to end", [&] {
        attached home;
        {
            pyattach_attached visit;
            pyattach_detached gap;
            EXPECT(pyattach_attached_begin_in(&visit, sub.handle) == PYATTACH_OK);
            EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
            sub.await_end();
            EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
            EXPECT(pyattach_is_attached() == 0);
            pyattach_attached_end(&visit); // inert, but it was elsewhere before
        }
        sub.use_main();
    });
    sub.end_and_join(visitor);
}
TEST_CASE("a thread returns to its previous interpreter after a scope in a sub-interpreter that ended") {
    if (may_end_with_threads())
        check_each_kind("a visit to an ended interpreter is over");
}

CHILD("other code had the thread in an interpreter that ended, detached") {
    ending sub;
    task visitor("the visitor to end", [&] {
        sub.attach_as_other_code();
        EXPECT(pyattach_interpreter_current() == sub.handle);
        cpython<void *()>("PyEval_SaveThread")();
        {
            attached visit(sub.main);
            sub.let_it_end();
        }
        EXPECT(pyattach_is_attached() == 0);
        EXPECT(!cpython_says_attached());
        attached again;
        sub.use_main();
    });
    sub.end_and_join(visitor);
}
TEST_CASE("a detached thread does not wait for an interpreter that ended while it was attached to another one") {
    if (may_end_with_threads())
        check_each_kind("other code had the thread in an interpreter that ended, detached");
}

CHILD("a gap in an ended interpreter, and another one inside") {
    ending sub;
    task visitor("the visitor to be parked", [&] {
        sub.attach_as_other_code();
        detached gap;
        sub.await_end();
        void *home = cpython<void *()>("PyInterpreterState_Main")();
        for (int i = 0; i < 3; ++i) {
            void *other = cpython<void *(void *)>("PyThreadState_New")(home);
            cpython<void(void *)>("PyEval_RestoreThread")(other);
            { detached inner; }
            EXPECT(eval_int("6 * 7") == 42);
            cpython<void(void *)>("PyThreadState_Clear")(other);
            cpython<void()>("PyThreadState_DeleteCurrent")();
        }
        gap.end();
        std::abort(); // there is nothing to come back to
    });
    sub.end_and_abandon(visitor);
}
TEST_CASE("a detached scope in an ended interpreter may hold scopes of others, and parks at its end") {
    if (may_end_with_threads())
        check_each_kind("a gap in an ended interpreter, and another one inside");
}
