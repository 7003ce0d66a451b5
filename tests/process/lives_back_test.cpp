// Coming back to a sub-interpreter that ended while the thread visited another one.
//
// From 3.14: before, CPython aborts when a sub-interpreter ends that a thread has a state in.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>

#include "process/each_kind.hpp"

using namespace support;

namespace {

// A sub-interpreter that ends while a thread, which went into it by `enter`, visits the main one.
class ending {
  public:
    ending() {
        start_python();
        pyattach_set_exit_timeout(10 * 1000000LL);
        attached here;
        main = pyattach_interpreter_main();
        one_ = std::make_unique<sub_interpreter>(kind_asked_for());
        handle = one_->handle();
    }
    // On the visitor's thread, inside the sub-interpreter.
    void visit_main() {
        attached visit(main);
        {
            detached gap;
            is_visiting_.count_down();
            has_ended_.wait();
        }
        EXPECT(pyattach_interpreter_current() == main);
    }
    void end() {
        is_visiting_.wait();
        {
            attached here;
            one_->end();
        }
        EXPECT(status_of_attaching_to(handle) == PYATTACH_FINALIZING);
        has_ended_.count_down();
    }
    void *state() const { return one_->state(); }

    pyattach_interpreter *main = nullptr, *handle = nullptr;

  private:
    std::unique_ptr<sub_interpreter> one_;
    latch is_visiting_{"the thread to visit the main interpreter"}, has_ended_{"the sub-interpreter to end"};
};

bool may_end_with_threads() {
    load_python();
    return python_version() >= 0x030e0000;
}

} // namespace

CHILD("a scope in an ended interpreter is come back to") {
    ending one;
    task visitor("the visitor to end", [&] {
        pyattach_attached outer;
        EXPECT(pyattach_attached_begin_in(&outer, one.handle) == PYATTACH_OK);
        one.visit_main();
        EXPECT(pyattach_is_attached() == 0);
        EXPECT(pyattach_attach_depth() == 0);
        pyattach_attached_end(&outer); // inert
        attached again;
        EXPECT(pyattach_interpreter_current() == one.main);
        EXPECT(eval_int("6 * 7") == 42);
    });
    one.end();
    visitor.join();
    EXPECT(!stop_python());
}
TEST_CASE("a thread does not come back to a scope whose interpreter ended, which is inert") {
    if (may_end_with_threads())
        check_each_kind("a scope in an ended interpreter is come back to");
}

CHILD("other code in an ended interpreter is come back to") {
    ending one;
    task visitor("the visitor to be parked", [&] {
        void *mine = cpython<void *(void *)>("PyThreadState_New")(one.state());
        cpython<void(void *)>("PyEval_RestoreThread")(mine);
        one.visit_main();
        std::abort(); // there is nothing left to go on with
    });
    one.end();
    visitor.wait_until_asleep();
    EXPECT(!visitor.has_returned());
    visitor.abandon();
    end_child();
}
TEST_CASE("a thread that other code attached to an interpreter that ended is parked rather than sent back") {
    if (may_end_with_threads())
        check_each_kind("other code in an ended interpreter is come back to");
}
