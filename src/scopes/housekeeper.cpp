// Housekeeper: what the library's own thread does in one interpreter (core/housekeeping.hpp says when).
//
// It attaches as any thread does, through the gate, so an exit waits for it, and names it if it takes too long. Between
// two slices of work it detaches, so that a thread that waits for the GIL never waits for more than one slice.
#include "core/upcalls.hpp"
#include "core/housekeeping.hpp"
#include "core/trace.hpp"
#include "objects/drain.hpp"
#include "scopes/attached.hpp"
#include "tstate/reaper.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {

bool keep_house(interpreter &interp) noexcept {
    // Free-threaded, the tstates of ended threads are deleted by a thread that has no tstate of its own (reaper.hpp).
    if (interp.data->orphaned.count.load(std::memory_order_relaxed) != 0)
        warm_state::release();
    do {
        attached_scope slice;
        status outcome;
        {
            no_drain_scope no_drain; // or the drain budget of attaches would make the slice longer
            outcome = attached::begin_in(slice, interp);
        }
        if (outcome)
            return outcome == PYATTACH_FINALIZING;
        trace::house(trace::kind::house_begins, &interp);
        // (Free-threaded, the attach with a new tstate has done that.)
        if (!cpython::python().free_threaded)
            reap_some(interp);
        drain(interp, pool::largest_batch);
        trace::house(trace::kind::house_ends, &interp);
        attached::end(slice);
        housekeeping::is_at_work.store(false, std::memory_order_relaxed);
    } while (!interp.pool.is_empty() && interp.gate.now() == gate::open &&
             housekeeping::word.load(std::memory_order_relaxed) == housekeeping::awake);
    return true;
}

void leave_house() noexcept {
    if (thread *me = this_thread.record())
        warm_state::destroy_at_end(*me);
}

} // namespace pyattach
