// A child in which a lock was borrowed at the fork: what it guards is given up there, and the child works all the same.
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

// An older handler than the library's, which runs after it.
void let_borrow() {
    if (!fork_begins)
        return;
    fork_begins->count_down();
    has_borrowed->wait();
}
// In the parent, before the library's own: that one waits for a borrower of the registry.
void let_give_back() {
    if (may_give_back)
        may_give_back->count_down();
}
void set_handlers() { pthread_atfork(let_borrow, let_give_back, nullptr); }

// Forks while another thread has what `take` takes.
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
        attached here;
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
        attached here;
        ref mine = new_object();
        EXPECT(eval_int("6 * 7") == 42);
        detached detached_frame;
        mine.drop();
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
        run_on_thread(use_python); // states wait to be deleted
    fork_while_borrowed(pyattach::lock_registry, pyattach::unlock_registry, live);
    fork_while_borrowed(pyattach::hold_threads, pyattach::release_hold_on_threads, live);
    fork_while_borrowed(pyattach::hold_message_handler, pyattach::release_hold_on_message_handler, live);
    fork_while_borrowed(pyattach::cpython::hold_guards, pyattach::cpython::release_hold_on_guards, live);
    fork_while_borrowed([] { main_record().gate.hold(); }, [] { main_record().gate.release_hold(); }, live);
    fork_while_borrowed([] { main_record().pool.hold(); }, [] { main_record().pool.release_hold(); }, live);
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a child whose parent had a lock borrowed at the fork attaches, drops, forks and ends Python") {
    check_succeeds("borrowed: each lock");
}

CHILD("borrowed: what is given up") {
    set_handlers();
    start_python();
    ref mine;
    {
        attached here;
        mine = new_object();
        pyattach_set_drain_budget(0);
        {
            detached detached_frame;
            mine.drop();
            run_on_thread([] {
                ref other;
                {
                    attached there;
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
                            EXPECT(all_counters().drops_leaked >= 1); // that of the thread that lives on is known of
                            ref one = new_object();
                            detached detached_frame;
                            one.drop();
                            EXPECT(pyattach_pool_size() == 1);
                        });
    static std::string heard;
    pyattach_set_message_handler([](const char *text, void *) { heard += text; }, nullptr);
    fork_while_borrowed(pyattach::hold_message_handler, pyattach::release_hold_on_message_handler, [] {
        pyattach::report("nobody is told, as the handler may be half another one");
        EXPECT(heard.empty());
    });
    pyattach::report("told");
    EXPECT(heard == "told");
    pyattach_set_message_handler(nullptr, nullptr);
    EXPECT(pyattach_pool_size() == 2);
    EXPECT(!stop_python());
}
TEST_CASE("what a borrowed lock guards is given up in the child, references counted, and the parent keeps it") {
    check_succeeds("borrowed: what is given up");
}
