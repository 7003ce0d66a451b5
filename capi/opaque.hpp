// The callers' opaque storage, and the objects of src/ in it.
#pragma once

#include "core/hold.hpp"
#include "pyattach/pyattach.h"
#include "scopes/attached.hpp"
#include "scopes/detached.hpp"
#include "scopes/forbidden.hpp"
#include "sync/critical_section.hpp"
#include "sync/mutex.hpp"
#include "sync/once.hpp"

namespace pyattach {

// The object in the caller's storage. Objects in storage are trivial: the function that begins a scope writes it, and
// no destructor runs after its end.
template <class Object, class Storage> Object &in(Storage *storage) noexcept {
    static_assert(sizeof(Object) <= sizeof(Storage) && alignof(Object) <= alignof(Storage), "the storage is too small");
    return *reinterpret_cast<Object *>(storage);
}

inline interpreter *from_handle(pyattach_interpreter *handle) noexcept {
    return reinterpret_cast<interpreter *>(handle);
}
inline pyattach_interpreter *to_handle(interpreter *interp) noexcept {
    return reinterpret_cast<pyattach_interpreter *>(interp);
}

} // namespace pyattach
