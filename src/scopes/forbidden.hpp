// Forbidden: a tp_traverse function runs on this thread.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

struct forbidden_scope {
    pyattach::tag tag;
    uint32_t depth; // how many forbidden scopes are open on the thread, this one included
    thread_local_words *owner;
};

namespace forbidden {

// See forbidden.h.
void begin(forbidden_scope &) noexcept;
void end(forbidden_scope &) noexcept;

} // namespace forbidden
} // namespace pyattach
