// Presence: whether a thread is inside one interpreter's gate, as its participant announces it.
#pragma once

#include <cstdint>

namespace pyattach {

// The gate binds a scope if the scope changes the thread's presence:
//
//                 attached scope begins                  detached scope begins
//      outside  ------------------------->  attached  -------------------------->  detached
//               <-------------------------            <--------------------------
//                 attached scope ends                    detached scope ends
//
// `attached` is stored before the call that attaches, and the other two after the call that detached (invariant 2). An
// attached scope inside a detached one goes from detached to attached, and back at its end.
enum class presence : uint8_t { outside, attached, detached };

} // namespace pyattach
