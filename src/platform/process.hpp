// The process: forking it, and its files.
#pragma once

namespace pyattach {

// Registers handlers for every later fork(). False: no memory.
bool register_fork_handlers(void (*before)() noexcept, void (*in_parent)() noexcept,
                            void (*in_child)() noexcept) noexcept;
// As fork(): 0 in the child; negative: there is none, and errno says why.
long long fork_process() noexcept;
bool is_directory(const char *path) noexcept;

} // namespace pyattach
