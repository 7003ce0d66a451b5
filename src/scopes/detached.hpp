// Detached: other threads may run Python meanwhile.
#pragma once

#include "core/interpreter.hpp"
#include "core/thread.hpp"

namespace pyattach {

union detached_scope {
    detached_scope() noexcept {}
    pyattach::tag tag;
    pyattach::frame frame;
};

namespace detached {

// The fast paths: the thread is attached with its warm tstate of the main interpreter, or was when the scope began.
status begin_warm(detached_scope &, thread &me) noexcept;
status end_warm(detached_scope &, thread &me) noexcept;
// The fast paths where the gate does not bind the thread: other code attached it, and no frame was open. In every other
// case they go on to the slow paths.
status begin_ungated(detached_scope &, thread &me) noexcept;
status end_ungated(detached_scope &, thread &me) noexcept;
// The slow paths, for every other case.
status begin_slow(detached_scope &) noexcept;
status end_slow(detached_scope &) noexcept;

// Inline, so that the C API functions decide without a call which path to take.
inline status begin(detached_scope &scope) noexcept {
    if (thread *const fast = this_thread.fast_record()) {
        thread &me = *fast;
        if (me.top->head() == fast_head() && is_warm_inside(me))
            return begin_warm(scope, me);
        return begin_ungated(scope, me);
    }
    return begin_slow(scope);
}
inline status end(detached_scope &scope) noexcept {
    if (thread *const fast = this_thread.fast_record()) {
        const pyattach::frame &frame = scope.frame;
        thread &me = *fast;
        if (frame.head() == fast_head(tag::detached) && me.top == &frame && me.nested_open == frame.nested_before)
            return end_warm(scope, me);
        return end_ungated(scope, me);
    }
    return end_slow(scope);
}

} // namespace detached
} // namespace pyattach
