// Housekeeping: the library's own thread, the *housekeeper*, releases what waits in the pools and deletes the tstates
// of ended threads, so that no thread of the program has to. This file says when it is made, sleeps and ends; what it
// does is in scopes/housekeeper.cpp.
//
// The states of its word. `none`: there is no housekeeper. Only it goes to sleep, and sets `ended`.
//
//              request                      nothing is left to do
//      none -------------> awake <---------------------------------------> asleep
//       ^                    |          request, or there is work             |
//       |                    | stop                                           | stop
//       |                    +-------------------> stopping <-----------------+
//       |                                             | its function is about to return
//       +--------- joining <--------- ended <---------+
//         joined              stop, or the next request
//
// A thread that leaves work first stores the work, and then loads the word. The housekeeper stores `asleep`, and then
// loads whether there is work. All four are sequentially consistent, so at least one of the two threads loads what the
// other one stored (Dekker), and no work is left while the housekeeper sleeps. Where work is under the registry's lock
// (orphaned tstates), a flag says that there is some.
//
// It works in rounds. The first begins half the release delay after the request, so that one request serves everything
// that is left meanwhile: while it is awake, a request is one load. A thread wakes it at most once in that time.
#pragma once

#include "core/interpreter.hpp"
#include "platform/futex.hpp"
#include "pyattach/pool.h"

namespace pyattach::housekeeping {

enum state : uint32_t { none, asleep, ended, awake, stopping, joining };
extern futex::word word;

// Whether there may be a housekeeper.
bool is_on() noexcept;
inline bool is_housekeeper() noexcept { return this_thread.housekeeper; }

// References wait in the pool of this interpreter, or a tstate is orphaned there. Wakes the housekeeper, or makes it,
// on any thread. False: no housekeeper comes, because housekeeping is off, the interpreter ends, no thread can be made,
// or this is a fork child in which Python is not in order.
bool request_slow(const interpreter &interp) noexcept;
inline bool request(const interpreter &interp) noexcept {
    return __builtin_expect(word.load(std::memory_order_seq_cst) > ended, 1) || request_slow(interp);
}
void request_reap(const interpreter &interp) noexcept;

// Ends the housekeeper and waits until it has ended, up to the limit. False: it has not ended by then, because a
// destructor that it runs takes longer, or it is the calling thread. It ends as soon as the destructor returns. Not
// attached to Python, or the housekeeper may be waiting for this thread.
bool stop(int64_t limit_ns) noexcept;
// The same on a thread that may be attached: it is detached meanwhile.
void stop_detached(int64_t limit_ns) noexcept;
// Requests what waits. After stop, if housekeeping goes on.
void resume() noexcept;
// The interpreter has ended with the housekeeper inside, which CPython may never let go on. From now on there is none,
// and a later request makes another one.
void abandon() noexcept;
// In a fork child, within fork(): the housekeeper is not there, unless it has forked itself.
void forget() noexcept;
// Its native id; 0: there is none.
pid_t native_id() noexcept;

// What a fork child has to know of it. The housekeeper sets `is_at_work` when it has attached, before it runs Python
// code, and clears it when it has detached. While it makes a tstate and stores it in its participant, it locks
// `tstate_lock`, which a raw fork holds.
extern std::atomic<bool> is_at_work;
extern internal_lock tstate_lock;
// Around fork(), as internal_lock.hpp defines hold, release_hold and restart. A fork of which CPython was notified does
// not hold it: CPython has locked its list of tstates then, for which the housekeeper may be waiting. Another fork
// waits for 20 ms at most, for the same reason, and its child then finds the lock locked.
void hold_tstate() noexcept;
void release_hold_on_tstate() noexcept;
bool restart_tstate() noexcept;

// See pool.h.
void set_policy(pyattach_housekeeping wanted) noexcept;
void set_release_delay(long long delay_ns) noexcept;

} // namespace pyattach::housekeeping
