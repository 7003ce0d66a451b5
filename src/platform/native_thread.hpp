// Threads as the kernel knows them, by the number that debuggers show.
#pragma once

#include <sys/types.h>

namespace pyattach {

// This thread's; 0 where that is not known.
pid_t own_native_id() noexcept;
// "" where the kernel does not say.
void name_of(pid_t native_id, char (&name)[32]) noexcept;
// False also where that is not known.
bool has_ended(pid_t native_id) noexcept;

} // namespace pyattach
