// Calls: as much of Python as a host needs that has no Python.h. The contracts stand in include/pyattach/call.h; what
// is said here is beyond them.
//
// INVALID is answered before anything is asked of Python, so a caller's mistake reads the same on every thread. What a
// function gives back is NULL on every failure if it is a pointer, and untouched if it is a number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/thread.hpp"
#include "cpython/table.hpp"

namespace pyattach::call {

status eval(const char *code, object *globals, object *locals, object **result) noexcept;
status run(const char *code, object *globals, object *locals) noexcept;
status import(const char *name, object **result) noexcept;
status check_signals() noexcept;

status get_attribute(object *from, const char *name, object **result) noexcept;
status set_attribute(object *on, const char *name, object *value) noexcept;
// A NULL among `args` is INVALID too.
status call(object *callable, object *const *args, size_t nargs, object **result) noexcept;

status to_int64(object *from, int64_t *value) noexcept;
status to_double(object *from, double *value) noexcept;
status to_bool(object *from, int *value) noexcept;
status to_utf8(object *from, const char **text, size_t *size) noexcept;
status to_bytes(object *from, const char **data, size_t *size) noexcept;
status from_int64(int64_t value, object **result) noexcept;
status from_double(double value, object **result) noexcept;
status from_bool(int value, object **result) noexcept;
status from_utf8(const char *text, size_t size, object **result) noexcept;
status from_bytes(const char *data, size_t size, object **result) noexcept;

status str(object *of, object **result) noexcept;
status repr(object *of, object **result) noexcept;

} // namespace pyattach::call
