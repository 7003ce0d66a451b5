// The lock of an object, and scenarios with two objects. For the tests of critical sections.
#pragma once

#include <functional>

#include "conformance/conformance.hpp"

// Whether the object's lock is held or free as `wanted`; with a GIL there is no lock, and the answer is yes.
inline bool lock_is(bool wanted, object *of) {
    if (!is_free_threaded())
        return true;
    auto *header = reinterpret_cast<const std::uint8_t *>(of);
    return bool(header[10] & 1) == wanted; // after ob_tid and second bytes of flags: a PyMutex
}

using entering = std::function<std::unique_ptr<section>()>;
template <class... Arguments> entering on(Arguments... of) {
    return [of...] { return std::make_unique<section>(of...); };
}

struct two_objects {
    two_objects() {
        start_python();
        attached here;
        first = new_object();
        second = new_object();
    }
    ref first, second;
    object *a() const { return first; }
    object *b() const { return second; }
};
