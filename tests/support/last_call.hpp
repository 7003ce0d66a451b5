// Functions that Python calls when an object dies, up to the last destructors of an interpreter.
#pragma once

#include <functional>
#include <utility>

#include "support/python.hpp"

namespace support {

// A new object whose __del__ calls `function`, also when the modules are gone. Attached.
inline ref object_with_last_call(std::function<void()> function) {
    ref made = object_with_finalizer("self.call()");
    EXPECT(pyattach_set_attribute(made, "call", native_function(std::move(function))) == PYATTACH_OK);
    return made;
}

// Calls `function` when the interpreter's modules are gone, on the finalizing thread. Attached.
inline void call_at_the_very_end(std::function<void()> function) {
    ref sys = eval("__import__('sys')");
    ref kept = object_with_last_call(std::move(function));
    EXPECT(pyattach_set_attribute(sys, "kept_to_the_end", kept) == PYATTACH_OK);
}

} // namespace support
