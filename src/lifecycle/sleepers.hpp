// Sleepers: threads that count as attached, and sleep in a call that has detached them without this library.
//
// Python's own calls detach while they wait (queue.get, time.sleep, accept), and no scope of this library tells of it.
// An exit does not wait for such a thread to its limit, but for a second, as for a thread in a detached scope.
//
// The threads that are attached are sleepers if in each sample of a whole second
//   - the kernel says of each that it sleeps, and none has used the processor since the second began, so that all were
//   in
//     one and the same wait;
//   - the finalizing thread could attach (free-threaded: could stop all other threads), so none of them kept Python
//     while it slept, and none waited for Python.
// All of them, and not one by one: a thread that sleeps may be waiting for one that works, which the exit waits for in
// any case. Where the kernel does not tell, and where a single thread that is attached works, no thread is a sleeper.
//
// The exit goes on, and leaves sleepers inside. Each is where a daemon thread of Python's own is at the end, in a call
// of CPython's that has detached it, and CPython deals with it alike:
//   - If it wakes before CPython has set its finalizing flag, it goes on, and the end waits for the GIL, or for the
//     thread to be stopped, as after a time-out. The scopes it is in end as usual: the gate is sealed or ended, and
//     neither keeps an attached thread from leaving.
//   - If it wakes later, its re-attach reads the flag before its tstate (up to 3.13, where the tstate has been freed),
//   or
//     the mark in its tstate (from 3.14 on, where its memory is kept as long as the thread lives). CPython hangs it
//     there; up to 3.13.7 it ends the thread, by a forced unwind. Below a call of this library that unwind comes to
//     cpython::guarded, which parks the thread (invariant 10). Where the program called CPython itself, the program's
//     frames are unwound, and its scopes are inert.
//   - No reattach guard stands between the two reads up to 3.13, because the re-attach is CPython's own: it is the race
//     that every daemon thread runs there, some nanoseconds against the whole of the first steps of the end.
// There is one exception: up to 3.13 the end of a sub-interpreter aborts the process if it finds another tstate, so
// that end waits to its limit, for sleepers as for detached threads.
#pragma once

#include <cstdint>

#include "core/gate.hpp"
#include "lifecycle/probe.hpp"

namespace pyattach {

class sleepers {
  public:
    // `except`: the participant of the finalizing thread, or NULL.
    sleepers(interpreter &interp, const participant *except) noexcept : interp_(interp), except_(except) {}

    // Takes a sample; not attached. `could_attach`: since the last sample the finalizing thread could attach. Returns
    // how many threads have been sleepers for a second; 0: none, or not all that are attached.
    unsigned sample(bool could_attach, probe &python) noexcept;

  private:
    interpreter &interp_;
    const participant *except_;
    int64_t since_ns_ = 0; // when the first sample was taken that all later ones are equal to; 0: none
    gate::attached_threads first_{};
};

} // namespace pyattach
