// Threads as the kernel knows them, by the number that debuggers show; and as POSIX does, by an ident that is given
// again once a thread has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <pthread.h>
#include <sys/types.h>

namespace pyattach {

// This thread's; 0 where that is not known.
pid_t own_native_id() noexcept;
// "" where the kernel does not say.
void name_of(pid_t native_id, char (&name)[32]) noexcept;
// False also where that is not known.
bool has_ended(pid_t native_id) noexcept;

using thread_ident = pthread_t;
inline thread_ident own_ident() noexcept { return pthread_self(); }
inline bool is_same_ident(thread_ident one, thread_ident other) noexcept { return pthread_equal(one, other) != 0; }

// Whether the storage is on the stack that the system gave to this thread; true also where that is not known.
bool is_on_own_stack(const void *storage) noexcept;

// Starts a thread of the library's own, which has no signals delivered to it. False: it cannot be had. The second one
// returns when the thread has ended, with what `run` returned; NULL also where it cannot be had.
bool start_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept;
void *run_on_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept;

} // namespace pyattach
