// What a fork holds of housekeeping. It must not wait for a housekeeper that makes a tstate: CPython may have locked
// its list of tstates for this very fork, and the housekeeper waits for that.
#include "support/catch.hpp"
#include "support/threads.hpp"

#include "core/housekeeping.hpp"

using namespace support;

TEST_CASE("a fork does not wait for the end of a tstate that is being made") {
    namespace housekeeping = pyattach::housekeeping;
    latch is_locked("the lock to be locked"), may_unlock("the forks to be over");
    task maker("the thread that makes a tstate to end", [&] {
        housekeeping::tstate_lock.lock();
        is_locked.count_down();
        may_unlock.wait(); // ends the process where a fork waits for it
        housekeeping::tstate_lock.unlock();
    });
    is_locked.wait();
    for (bool is_notified : {false, true}) {
        pyattach::this_thread.forking = is_notified;
        housekeeping::hold_tstate();
        housekeeping::release_hold_on_tstate();
    }
    pyattach::this_thread.forking = 0;
    may_unlock.count_down();
    maker.join();
    housekeeping::tstate_lock.lock(); // no hold is left
    housekeeping::tstate_lock.unlock();
    CHECK(maker.has_returned());
}
