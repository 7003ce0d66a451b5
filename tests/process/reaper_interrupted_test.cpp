// A fork or a finalization while the reaper of another thread deletes tstates.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/orphaned_tstate.hpp"
#include "support/recycled_ident.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>

#include "support/tstate_counts.hpp"
#include "support/fork.hpp"

using namespace support;

namespace {

// Starts a thread whose attach deletes the tstates of ended threads. `in_deletion` runs in it once, while the tstate of
// the thread that ran on `stack` is deleted.
std::unique_ptr<task> start_deletion(recycled_ident &stack, std::function<void()> in_deletion) {
    start_python();
    {
        attached here;
        make_thread_local();
        publish("in_deletion", native_function(std::move(in_deletion)));
        run("class Held:\n    def __del__(self): in_deletion()\n");
    }
    // All threads at once, or later ones would delete the tstates of earlier ones.
    constexpr int threads = 80; // more than may wait
    barrier all_there("the others to come", threads);
    std::vector<std::unique_ptr<task>> all;
    for (int i = 0; i < threads; ++i) {
        auto come = [&all_there, i] {
            {
                attached here;
                if (i == 0)
                    run("local.value = Held()");
            }
            orphan_own_tstate();
            all_there.arrive_and_wait();
        };
        const char *what = "one of many threads to end";
        all.push_back(i == 0 ? stack.start(what, come) : std::make_unique<task>(what, come));
    }
    for (auto &each : all)
        each->join();
    return std::make_unique<task>("the thread that deletes to end", use_python);
}

} // namespace

CHILD("a child of which a thread was deleting states") {
    static latch deleting("a deletion"), may_go_on("permission to go on");
    recycled_ident stack;
    auto newcomer = start_deletion(stack, [] {
        detached detached_frame;
        deleting.count_down();
        may_go_on.wait();
    });
    deleting.wait();
    {
        attached here;
        fork_in_python([] {
            EXPECT(all_counters().states_dead == 0);
            {
                detached detached_frame;
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
TEST_CASE("a child forked while another thread deleted tstates continues without them") {
    load_python();
    if (keeps_tstates())
        check_succeeds("a child of which a thread was deleting states");
}

// The wait for the deletion ends with the interpreter, whose exit does not wait for ever.
CHILD("a newcomer that waits for its namesake's state while Python ends") {
    static recycled_ident stack;
    static latch deleting("a deletion"), never("nothing");
    start_deletion(stack, [] {
        detached detached_frame;
        deleting.count_down();
        never.wait();
    })->abandon();
    deleting.wait();
    pyattach_status status = PYATTACH_OK;
    auto newcomer = stack.start("the newcomer to be refused", [&] {
        pyattach_attached scope;
        status = pyattach_attached_begin(&scope);
    });
    newcomer->wait_until_asleep();
    pyattach_set_exit_timeout(0);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT); // the one that deletes is inside
    newcomer->join();
    EXPECT(status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED);
    std::_Exit(0);
}
TEST_CASE("a thread that waits for the deletion of a tstate with its ident is refused if Python finalizes meanwhile") {
    load_python();
    if (is_free_threaded())
        check_succeeds("a newcomer that waits for its namesake's state while Python ends");
}
