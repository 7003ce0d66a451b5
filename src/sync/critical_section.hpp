// Critical section: CPython's per-object lock of the free-threaded build.
#pragma once

#include "sync/mutex.hpp"
#include "core/thread.hpp"

namespace pyattach {

struct section_scope {
    pyattach::tag tag;
    bool is_locked; // free-threaded
    bool is_pair;
    thread *owner;
    section_scope *outer;
    frame *in; // the frame on top when it began
    // PyCriticalSection or PyCriticalSection2: 16 and 24 bytes in every version so far; linked by address.
    alignas(8) unsigned char storage[32];
};

namespace critical_section {

status begin(section_scope &, object *) noexcept;
status begin(section_scope &, object *, object *) noexcept;
status begin(section_scope &, mutex_storage *) noexcept;
status begin(section_scope &, mutex_storage *, mutex_storage *) noexcept;
void end(section_scope &) noexcept;

// The thread ends, attached, with sections open: they end now. False: CPython has linked one by its address, and its
// storage has gone, so the thread must not detach.
bool abandon(thread &me) noexcept;

} // namespace critical_section
} // namespace pyattach
