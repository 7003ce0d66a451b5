// Section: what an open critical section leaves on its thread.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

struct section_scope {
    pyattach::tag tag;
    bool is_locked; // free-threaded
    bool is_pair;
    thread *owner;
    section_scope *outer;
    frame *top_at_begin; // the frame on top when it began
    // PyCriticalSection or PyCriticalSection2: 16 and 24 bytes in every version so far; linked by address.
    alignas(8) unsigned char storage[32];
};

// Gives back CPython's half. Attached; may block where CPython resumes a section further out.
void unlock_section(section_scope &scope) noexcept;

// The thread ends, attached, with sections open: they end now. False: CPython has linked one by its address, and its
// storage has gone, so the thread must not detach.
bool abandon_sections(thread &me) noexcept;

} // namespace pyattach
