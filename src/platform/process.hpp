// The process: forking it, and its files.
#pragma once

#include <cstddef>

namespace pyattach {

// Registers handlers that every later fork() calls. False: no memory.
bool register_fork_handlers(void (*before)() noexcept, void (*in_parent)() noexcept,
                            void (*in_child)() noexcept) noexcept;
// Calls fork(). 0: this is the child. Negative: there is no child, and errno is set.
long long fork_process() noexcept;
// The number of this process.
long own_process_id() noexcept;
bool is_directory(const char *path) noexcept;
// The number of this process.
long process_number() noexcept;
// The path of the program; "" if it is unknown.
void path_of_program(char *path, size_t size) noexcept;

} // namespace pyattach
