// Fork mutex: a mutex that a forked child finds free. The forking thread holds it over the fork.
#pragma once

namespace pyattach::fork_mutex {

// There is one, of the library that contains this file. Nothing that may fork, load or unload is done while it is held.
void lock() noexcept;
void unlock() noexcept;

} // namespace pyattach::fork_mutex
