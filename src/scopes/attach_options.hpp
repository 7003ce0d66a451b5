// Attach options: an attached scope that runs no foreign code (no_drain), and its label.
//
// The begin is that of a scope without options. What the scope keeps until its end is noted in it afterwards, so that
// the fast paths need not look for it: the head of the frame, or the tag of the nested scope, is not the one that they
// compare with, and the end takes the slow path.
#pragma once

#include "pyattach/attached.h"
#include "scopes/attached.hpp"

namespace pyattach::attached {

// See attached.h. NULL: no options.
status begin_with(attached_scope &, const pyattach_attach_options *given) noexcept;

// At the begin of the scope's end: ends what its options began, if it has options and may end now. On a thread that may
// not end it nothing happens. A nested scope is an ordinary one afterwards.
void end_options(attached_scope &) noexcept;

} // namespace pyattach::attached
