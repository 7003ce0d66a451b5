// Calls: what a host without Python.h needs of the C API. The contracts stand in include/pyattach/call.h; this header
// adds to them.
//
// Every function checks its arguments before the state of the thread, so INVALID is returned on every thread alike. On
// every failure a result that is a pointer is NULL, and a result that is a number is unchanged.
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
bool can_handle_signals() noexcept;

status get_attribute(object *from, const char *name, object **result) noexcept;
status set_attribute(object *on, const char *name, object *value) noexcept;
// INVALID also if one of `args` is NULL.
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
