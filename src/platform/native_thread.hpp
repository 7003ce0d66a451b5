// Native threads. The kernel identifies a thread by a number, which debuggers show. POSIX identifies it by an ident,
// which the system gives to a new thread once the old one has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <pthread.h>
#include <sys/types.h>

namespace pyattach {

// The calling thread's number; 0: unknown.
pid_t own_native_id() noexcept;
// The name of a thread of this process; "": unknown. Opens a file. Async-signal-safe.
void name_of(pid_t native_id, char (&name)[32]) noexcept;
// At most 15 bytes.
void name_own_thread(const char *name) noexcept;
// Whether the thread with this number has ended. False also where that is unknown.
bool has_ended(pid_t native_id) noexcept;
// What the kernel says of a thread of this process.
struct thread_activity {
    bool is_asleep; // it waits in the kernel, and not for a processor
    int64_t cpu_ns; // how long it has used a processor
};
// False: that is unknown, or the thread has ended. Opens a file.
bool read_activity(pid_t native_id, thread_activity &found) noexcept;

using thread_ident = pthread_t;
inline thread_ident own_ident() noexcept { return pthread_self(); }
inline bool is_same_ident(thread_ident left, thread_ident right) noexcept { return pthread_equal(left, right) != 0; }

// Whether the storage is on the stack that the system has given to the calling thread. True also where that is unknown.
bool is_on_own_stack(const void *storage) noexcept;

// Ends the calling thread by unwinding its stack.
[[noreturn]] inline void end_own_thread() { pthread_exit(nullptr); }

// Starts a thread of this library, in which all signals are blocked, and which has to be joined. False: the system
// refuses to start one.
bool start_thread(void *(*run)(void *argument) noexcept, void *argument) noexcept;
// The same, but the thread is not joined.
bool start_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept;
// The same, and waits until the helper thread has ended. Returns the result of `run`; NULL also where the system
// refuses to start a thread.
void *run_on_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept;

} // namespace pyattach
