// A thread that waits for the end of a fork before it makes a tstate.
#include "core/interpreter.hpp"
#include "tstate/new_tstate.hpp"

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

CHILD("new tstate: the address of the forking thread's") {
    policy scoped(PYATTACH_THREADS_SCOPED);
    start_python();
    attached here;
    void *const own_tstate = support::current_tstate();
    latch was_attached("the thread to have been attached"), is_forking("the fork to begin");
    task other("the thread that makes a tstate to end", [&] {
        { attached there; }
        // As if the tstate of the forking thread had been made where the deleted one was.
        pyattach::participant *self = pyattach::find_participant(pyattach::own_record(), *pyattach::main_interpreter());
        EXPECT(self && self->last_tstate);
        self->last_tstate = static_cast<pyattach::thread_state *>(own_tstate);
        was_attached.count_down();
        is_forking.wait();
        attached again;
    });
    {
        detached gap;
        was_attached.wait();
    }
    // What CPython calls in os.fork(). Until it is over this thread stays attached.
    pyattach::on_before_fork();
    const std::uint64_t made_before = all_counters().states_created;
    bool is_kept = true;
    is_forking.count_down();
    wait_until("the thread to have made a tstate", [&] {
        is_kept = is_kept && support::current_tstate() == own_tstate;
        return all_counters().states_created != made_before;
    });
    pyattach::on_after_fork_in_parent();
    detached gap;
    other.join();
    EXPECT(is_kept);
}
TEST_CASE("a thread that waits for a fork leaves the forking thread attached, whose tstate has a known address") {
    load_python();
    // Later the current tstate is always the thread's own.
    if (python_version() < 0x030c0000)
        check_succeeds("new tstate: the address of the forking thread's");
}
