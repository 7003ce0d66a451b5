// Loading: what dlopen and dlmopen are routed to. They load as those do, and route what was loaded.
#pragma once

namespace pyattach::preload {

// `caller`: where the call returns to. Both let through what a constructor throws.
void *load(const char *name, int flags, const void *caller);
void *load_into(long name_space, const char *name, int flags);

} // namespace pyattach::preload
