// Section: the critical sections that are open on a thread.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

struct section_scope {
    pyattach::tag tag;
    bool is_locked; // Python is free-threaded, so the section locks an object
    bool is_pair;
    thread *owner;
    section_scope *outer;
    frame *top_at_begin; // the thread's top frame when the section began
    union {
        // A PyCriticalSection or PyCriticalSection2, of 16 or 24 bytes in every version so far. CPython links it by
        // address.
        alignas(8) unsigned char storage[32];
        const thread_state *tstate; // not locked: the thread's current one when the section began; NULL: unknown
    };
};

// Ends CPython's section. Attached. May block, because CPython may resume a section further out.
void unlock_section(section_scope &scope) noexcept;

// The thread ends, attached: ends the sections that are open on it. False: the storage of a section, which CPython has
// linked by address, is no longer valid, so the thread must not detach.
bool abandon_sections(thread &me) noexcept;

} // namespace pyattach
