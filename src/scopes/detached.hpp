// Detached: others may run Python meanwhile.
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

status begin_warm(detached_scope &, thread &me) noexcept;
status begin_slow(detached_scope &) noexcept;
status end_warm(detached_scope &, thread &me) noexcept;
status end_slow(detached_scope &) noexcept;

// Below a warm attach, and anything else: decided here, without a call, in whoever asks.
inline status begin(detached_scope &scope) noexcept {
    if (this_thread.is_fast()) {
        thread &me = this_thread.fast_record();
        if (me.top->head() == fast_head() && is_warm_inside(me))
            return begin_warm(scope, me);
    }
    return begin_slow(scope);
}
inline status end(detached_scope &scope) noexcept {
    if (this_thread.is_fast()) {
        const pyattach::frame &frame = scope.frame;
        thread &me = this_thread.fast_record();
        if (frame.head() == fast_head(tag::detached) && me.top == &frame && me.nested_open == frame.nested_before)
            return end_warm(scope, me);
    }
    return end_slow(scope);
}

} // namespace detached
} // namespace pyattach
