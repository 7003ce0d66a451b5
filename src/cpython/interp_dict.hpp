// What this library keeps in an interpreter's own dict: its record, and the time of a timed-out exit. Each function but
// the last needs an attached thread and keeps the pending exception.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// The record that attach_record has stored for this interpreter; NULL: none. Runs no Python code.
void *attached_record(interp_state *interp) noexcept;
// Stores `record` for this interpreter, once. When the interpreter is cleared, `is_cleared` is called with it. False:
// no memory. May run Python code. Every call passes the same `is_cleared`.
bool attach_record(interp_state *interp, void *record, void (*is_cleared)(void *record) noexcept) noexcept;

// The capsule that holds the record, borrowed; NULL: none, or no memory. Inside `guarded`.
object *record_capsule(interp_state *interp);
void *record_in(object *capsule) noexcept;

// Several copies of this library may each wait for native threads when an interpreter ends, one after the other. The
// time on the monotonic clock when the first copy that timed out began to wait; 0: none has timed out.
int64_t timed_out_since(interp_state *interp) noexcept;
// May run Python code.
void note_time_out(interp_state *interp, int64_t since) noexcept;

// In a fork child: another thread may have held the lock on the making of these dicts.
void restart_interp_dicts() noexcept;

} // namespace pyattach::cpython
