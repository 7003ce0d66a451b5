// Thread list: what each thread does with Python, as another thread can read it.
//
// Nothing is noted for it: a fast path has not one instruction more. What is read has one writer each, the thread
// itself, and is read as it happens to be:
//
//   CPython's current tstate   through thread::current_at: from 3.12 that thread's own, up to 3.11 that of the thread
//                              that holds the GIL. This is CPython's answer, so it decides who is attached (invariant
//                              1)
//   the presence               stored before the call that attaches, so it is `attached` while the thread waits, too
//   the top frame              changed after the call that attaches has returned (invariant 2). So a thread that has
//                              announced itself, is not attached, and has the frame on top that was there before,
//                              waits:
//
//      top frame    presence     CPython says    the thread
//      any          any          attached        is attached
//      base         outside      not attached    is idle
//      base         attached     not attached    waits at the begin of an attached scope
//      detached     detached     not attached    is in the detached scope
//      detached     attached     not attached    waits at its end, or at the begin of an attached scope in it
//      attached     attached     not attached    was detached by other code, inside its scope
//
// A frame is in storage of its caller, which may have been given back to the system. So it is copied by a system call,
// which fails where a load would end the process, and its top is read again after that.
//
// What keeps the memory there. The records and their thread-local data: the lock of the list of records, under which an
// ending thread clears `words` before anything of it goes (set_words; CPython's thread-locals go after all thread-exit
// hooks). The participants: the registry's lock, which retire() locks before a participant goes to another thread or is
// freed; the list of a thread's participants is published and unlinked with release (find_or_make_participant,
// unlink_of_thread) and read with acquire. The interp_data with the gate: a participant is a reference to it. The
// records of interpreters are never freed. The label: the gate's lock.
//
// The locks, in this order: the registry's, that of the records, a gate's. None is held while Python runs, so no thread
// waits for Python here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/native_thread.hpp"
#include "pyattach/threads.h"

namespace pyattach {

struct interpreter;

struct listed_thread {
    pid_t native_id;
    interpreter *interp; // NULL: not known
    pyattach_thread_state state;
    bool is_warm, by_other_code; // see pyattach_thread_info
    uint64_t since;              // in ticks; 0: not known
    char label[64];
};

// Calls `visit` with each thread that uses a record, under the locks: it neither locks nor waits. `limit_ns`: how long
// each lock is waited for; negative: without a limit. False: a lock could not be locked, and not all threads, or none,
// were visited. Async-signal-safe with a limit.
bool for_each_thread(int64_t limit_ns, void (*visit)(const listed_thread &thread, void *arg) noexcept,
                     void *arg) noexcept;

// Converts `since` to nanoseconds of the monotonic clock, while a trace records.
class since_clock {
  public:
    explicit since_clock(int64_t limit_ns) noexcept; // see for_each_thread
    int64_t ns(uint64_t since) const noexcept;       // 0: not known
    int64_t now_ns() const noexcept { return now_ns_; }

  private:
    bool is_known_;
    uint64_t now_ticks_ = 0;
    int64_t now_ns_ = 0;
    double ns_per_tick_ = 0;
};

} // namespace pyattach
