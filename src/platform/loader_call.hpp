// Loader call: calls of the dynamic linker on behalf of other objects.
#pragma once

namespace pyattach::loader {

// As dlopen, called by the object that contains `caller`. That matters for a name without a slash, which is searched
// for in the run path of the caller. Lets through what a constructor throws, and so does the next one.
void *open_for(const void *caller, const char *name, int flags);
// As dlmopen.
void *open_into(long name_space, const char *name, int flags);
// Forgets the message of this thread's last call that failed.
void clear_error() noexcept;

} // namespace pyattach::loader
