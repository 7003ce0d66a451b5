// Report: what this library prints: what it has routed, if it is asked to say so, and what it could not do.
#pragma once

#include <cstddef>

#include "preload/route.hpp"

namespace pyattach::preload {

// Whether any of these routes is one of CPython's functions.
bool has_routes(const route_table &table, unsigned routes) noexcept;
// The line on an object. False: nothing of it is worth a line.
bool write_routes(char *line, size_t size, const route_table &table, const char *path, unsigned words,
                  unsigned routes) noexcept;

namespace report {

// "" or "0": print no line. "1": on standard error. Else the path of a file, at whose end the lines are put; false: it
// cannot be opened, and they go to standard error.
bool set(const char *lines) noexcept;
bool is_verbose() noexcept;
// Prints a line, with the number of the process.
void line(const char *text) noexcept;
// Prints it on standard error, also where no line was asked for.
void failure(const char *text) noexcept;

} // namespace report
} // namespace pyattach::preload
