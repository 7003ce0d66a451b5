// Upcalls: functions that this floor calls and a higher floor defines.
//
// A floor includes only floors below it. So these functions are declared here, where they are called, and each
// comment names the file that defines the function.
#pragma once

namespace pyattach {

struct interpreter;
struct thread;

// tstate/thread_exit.cpp: the thread ends, whatever scopes it has left open. False: call this again after the
// thread-exit destructors of other libraries. Never waits for Python.
bool on_thread_exit(thread &me) noexcept;

// gilstate/entry.cpp: frees what routed code has open on a thread that has ended or that is not in this fork child, and
// ends its ticket. No scope in it is used any more.
void forget_routing(thread &ended) noexcept;

// tstate/thread_exit.cpp: gives back the record of a thread whose thread-exit hook has run, once no scope is open in
// it.
void discard_late_record_slow(thread &me) noexcept;

// objects/drain.cpp: schedules again a drain that CPython has called while drains were disabled on this thread or a
// critical section was open, once neither is so. Gives back the record of a thread whose thread-exit hook has run, once
// no scope is open in it. Takes no lock that is held while Python code runs.
void run_deferred() noexcept;

// scopes/housekeeper.cpp: on the housekeeper. Releases what waits in the pool of the interpreter, and deletes the
// tstates of its ended threads, until nothing is left, the gate closes, or the housekeeper has to end. Runs Python
// code. False: the interpreter refused it for another reason than its end.
bool keep_house(interpreter &interp) noexcept;
// On the housekeeper, which is about to end: gives up what it keeps in Python, as far as it need not wait for that.
void leave_house() noexcept;

} // namespace pyattach
