// Attached: this thread may call Python.
#pragma once

#include "interpreter.hpp"
#include "thread.hpp"

namespace pyattach {

// An attached scope that found its thread attached.
struct nested_scope {
    pyattach::tag tag;
    thread *owner;
    frame *in; // the frame on top when it began
};

union attached_scope {
    attached_scope() noexcept {}
    pyattach::tag tag;
    nested_scope nested;
    frame outer;
};

namespace attached {

status begin(attached_scope &) noexcept;
status begin_in(attached_scope &, interpreter &) noexcept;
status begin_unchecked(attached_scope &) noexcept;
status assume(attached_scope &) noexcept;
void end(attached_scope &) noexcept;

bool is_attached() noexcept;
int depth() noexcept;

// The handles users get. First contact, so the main interpreter is attached to for a moment if it was not met yet.
interpreter *main() noexcept;
interpreter *current() noexcept;

} // namespace attached

} // namespace pyattach
