// A child in which a lock was borrowed at the fork: the child discards what the lock guards, and works all the same.
#include "cpython/guards.hpp"
#include "base/diagnostics.hpp"
#include "core/interpreter.hpp"

#include <pthread.h>

#include "support/tstate_counts.hpp"
#include "support/fork.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

latch *fork_begins, *has_borrowed, *may_give_back;

// This handler was registered before the library's, so it runs after it.
void let_borrow() {
    if (!fork_begins)
        return;
    fork_begins->count_down();
    has_borrowed->wait();
}
// In the parent it runs before the library's handler, which waits for a borrower of the registry's lock.
void let_give_back() {
    if (may_give_back)
        may_give_back->count_down();
}
void set_handlers() { pthread_atfork(let_borrow, let_give_back, nullptr); }

// Forks while another thread has locked what `take` locks.
void fork_while_borrowed(void (*take)(), void (*give_back)(), const std::function<void()> &live) {
    latch begins("the fork to begin"), borrowed("the lock to be borrowed"), may_unlock("permission to unlock");
    task borrower("the borrower to end", [&] {
        begins.wait();
        take();
        borrowed.count_down();
        may_unlock.wait();
        give_back();
    });
    fork_begins = &begins, has_borrowed = &borrowed, may_give_back = &may_unlock;
    {
        attached scope;
        fork_in_python([&] {
            fork_begins = may_give_back = nullptr;
            live();
        });
    }
    fork_begins = may_give_back = nullptr;
    borrower.join();
}

void live() {
    auto works = [] {
        attached scope;
        ref object = new_object();
        EXPECT(eval_int("6 * 7") == 42);
        detached detached_frame;
        object.drop();
    };
    works();
    {
        detached detached_frame;
        for (int i = 0; i < 3; ++i)
            run_on_thread(works);
    }
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    fork_in_python([works] { works(); });
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
}

pyattach::interpreter &main_record() { return *pyattach::main_interpreter(); }

} // namespace

CHILD("borrowed: each lock") {
    set_handlers();
    start_python();
    use_python();
    bystanders others(4);
    for (int i = 0; i < 5; ++i)
        run_on_thread(use_python); // orphaned tstates wait to be deleted
    fork_while_borrowed(pyattach::lock_registry, pyattach::unlock_registry, live);
    fork_while_borrowed(pyattach::hold_threads, pyattach::release_hold_on_threads, live);
    fork_while_borrowed(pyattach::hold_message_handler, pyattach::release_hold_on_message_handler, live);
    fork_while_borrowed(pyattach::cpython::hold_guards, pyattach::cpython::release_hold_on_guards, live);
    fork_while_borrowed([] { main_record().gate.hold(); }, [] { main_record().gate.release_hold(); }, live);
    fork_while_borrowed([] { main_record().pool.hold(); }, [] { main_record().pool.release_hold(); }, live);
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("if a lock was borrowed at the fork, the child attaches, gives references back, forks and ends Python") {
    check_succeeds("borrowed: each lock");
}

CHILD("borrowed: what is discarded") {
    set_handlers();
    start_python();
    ref object;
    {
        attached scope;
        object = new_object();
        pyattach_set_drain_budget(0);
        {
            detached detached_frame;
            object.drop();
            run_on_thread([] {
                ref other;
                {
                    attached scope;
                    other = new_object();
                }
                other.drop();
            });
        }
        EXPECT(pyattach_pool_size() == 2);
    }
    fork_while_borrowed([] { main_record().pool.hold(); }, [] { main_record().pool.release_hold(); },
                        [] {
                            EXPECT(pyattach_pool_size() == 0);
                            // At least the reference that the surviving thread gave back.
                            EXPECT(all_counters().drops_leaked >= 1);
                            ref another = new_object();
                            detached detached_frame;
                            another.drop();
                            EXPECT(pyattach_pool_size() == 1);
                        });
    static std::string messages;
    pyattach_set_message_handler([](const char *text, void *) { messages += text; }, nullptr);
    fork_while_borrowed(pyattach::hold_message_handler, pyattach::release_hold_on_message_handler, [] {
        pyattach::report("this message is discarded, because the handler may be half written");
        EXPECT(messages.empty());
    });
    pyattach::report("message");
    EXPECT(messages == "message");
    pyattach_set_message_handler(nullptr, nullptr);
    EXPECT(pyattach_pool_size() == 2);
    EXPECT(!stop_python());
}
TEST_CASE("the child discards what a borrowed lock guards and counts the references, and the parent keeps it") {
    check_succeeds("borrowed: what is discarded");
}
