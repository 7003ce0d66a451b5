// Attach options: an attached scope that runs no foreign code (no_drain), and its label.
#include "scopes/attach_options.hpp"

#include <algorithm>
#include <cstring>

#include "base/diagnostics.hpp"
#include "core/trace.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach::attached {
namespace {

// The participant that announces the thread where the scope is: that of the scope which attached the thread. NULL:
// other code attached it, and an exit does not wait for it.
participant *announcing_participant(const thread &me, const attached_scope &scope) noexcept {
    if (scope.tag == tag::attached)
        return scope.frame.participant;
    const frame *top = readable_top(me);
    return top && top->tag == tag::attached && !is_inert(*top) ? top->participant : nullptr;
}

void keep_options(attached_scope &scope, const pyattach_attach_options &options) noexcept {
    thread &me = *this_thread.record();
    participant *self = options.label ? announcing_participant(me, scope) : nullptr;
    const bool is_labelled = self && self->interp->gate.set_label(*self, options.label);
    if (is_labelled)
        trace::is_labelled(options.label);
    const bool no_drain = options.no_drain != 0;
    if (no_drain)
        ++me.no_drain_open;
    if (scope.tag == tag::attached) {
        scope.frame.no_drain = no_drain;
        scope.frame.labelled = is_labelled;
    } else if (no_drain || is_labelled) {
        scope.tag = tag::nested_with;
        scope.nested_with.labelled = is_labelled ? self->interp : nullptr;
        scope.nested_with.no_drain = no_drain;
    }
}

status begin_plain(attached_scope &scope, pyattach_interpreter *handle) noexcept {
    return handle ? begin_in(scope, *reinterpret_cast<interpreter *>(handle)) : begin(scope);
}

} // namespace

status begin_with(attached_scope &scope, const pyattach_attach_options *given) noexcept {
    static refusal_site no_size;
    const kept_errno kept;
    pyattach_attach_options options = {};
    if (given && given->struct_size == 0)
        return refused(PYATTACH_INVALID, no_size,
                       "pyattach_attached_begin_with: struct_size of the options is zero. It says which members the "
                       "caller knows. Set it to sizeof(pyattach_attach_options).");
    if (given)
        std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
    status outcome;
    if (options.no_drain) {
        no_drain_scope until_kept;
        outcome = begin_plain(scope, options.interpreter);
        if (outcome == PYATTACH_OK)
            keep_options(scope, options);
    } else {
        outcome = begin_plain(scope, options.interpreter);
        if (outcome == PYATTACH_OK)
            keep_options(scope, options);
    }
    if (thread *me = outcome != PYATTACH_OK ? this_thread.record() : nullptr)
        discard_late_record(*me);
    return outcome;
}

void end_options(attached_scope &scope) noexcept {
    thread *me = this_thread.record();
    bool no_drain = false;
    participant *labelled = nullptr;
    if (scope.tag == tag::nested_with && me && scope.nested.owner == me) {
        no_drain = scope.nested_with.no_drain;
        interpreter *interp = scope.nested_with.labelled;
        // The participant may have been given up, with its label, if the interpreter has ended.
        labelled = interp ? find_participant(me, *interp) : nullptr;
        scope.tag = tag::nested;
    } else if (scope.tag == tag::attached && me && me->top == &scope.frame) {
        no_drain = scope.frame.no_drain;
        labelled = scope.frame.labelled ? scope.frame.participant : nullptr;
        scope.frame.no_drain = scope.frame.labelled = false;
    }
    if (labelled)
        labelled->interp->gate.clear_label(*labelled);
    if (no_drain && me->no_drain_open != 0) {
        --me->no_drain_open;
        if (this_thread.has_deferred())
            run_deferred();
    }
}

} // namespace pyattach::attached
