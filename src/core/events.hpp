// Events: what begins on this floor and is answered on a higher one.
//
// A floor includes only floors below it. So these functions are declared here, where they are called, and each is
// defined in the file that is named with it.
#pragma once

namespace pyattach {

struct thread;

// tstate/thread_exit.cpp: the thread ends, whatever it has left open. False: call it again after the destructors of
// others. Never waits for Python.
bool on_thread_exit(thread &me) noexcept;

// tstate/thread_exit.cpp: gives back the record of a thread whose exit hook has run already, once nothing is open in
// it.
void discard_late_record_slow(thread &me) noexcept;

// objects/drain.cpp: does what waited until this thread's drains are enabled again and it is not inside a section, or
// until nothing is open in the record of a thread that is past its exit hook. Takes no lock that is held while Python
// code runs.
void run_deferred() noexcept;

} // namespace pyattach
