// Dump: the trace is written to where its options say: when an exit has timed out, before an abort, or when a signal
// asks for it.
//
// A signal may interrupt a thread anywhere: inside malloc, or while the thread holds a lock of this library. So the
// handler neither locks nor allocates, and uses no thread-local data but errno, which it keeps. It sets a bit in a word
// and wakes the *dumper*, a thread of the library's own, which sleeps on that word and writes the file. The atomic is
// lock-free and futex::wake is one system call, so both are async-signal-safe.
#pragma once

#include "core/trace_session.hpp"

namespace pyattach::trace {

// See trace.h: start and stop, with what is to be written by itself.
status begin(const pyattach_trace_options *given) noexcept;
status end() noexcept;

// Writes the trace to the path that its options name, if a trace records and they name one. Keeps errno. What cannot be
// written is told to the message handler. If another thread writes just now, it waits for that for some seconds.
void dump() noexcept;

// Around fork(), as internal_lock.hpp defines the three. In the child there is no dumper, so the signal does nothing.
void hold_dumper() noexcept;
void release_hold_on_dumper() noexcept;
void restart_dumper() noexcept;

} // namespace pyattach::trace
