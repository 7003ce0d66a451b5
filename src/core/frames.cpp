// Frames: whether one can be read, and the stack of the calling thread's frames.
#include "core/frames.hpp"

#include <cstdio>

#include "base/diagnostics.hpp"
#include "core/participant.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {

// AddressSanitizer reports reads of storage that its owner has given up. This function may read such storage.
__attribute__((no_sanitize("address"))) bool is_intact(const thread &me, const frame &scope) noexcept {
    if ((scope.tag != tag::attached && scope.tag != tag::detached) || scope.below == &scope)
        return false;
    if (!scope.is_fast)
        return scope.sum == sum_of(scope);
    // The fast path attaches on top of the bottom frame only, and stores half of the address of the frame below in the
    // sum of a detached frame. (It never begins a scope in the storage of an open frame.)
    const bool is_below = scope.tag == tag::attached ? scope.below == &me.base : scope.sum == fast_sum_of(scope.below);
    for (const participant &self : participants_of(me))
        if (&self == scope.participant)
            return is_below && scope.interp == self.interp && scope.tstate == self.warm_tstate;
    return false;
}

void report_storage_in_use(const char *kind, const void *storage) noexcept {
    if (is_on_own_stack(storage))
        return;
    char happened[120];
    std::snprintf(happened, sizeof happened,
                  "pyattach_%s_begin: a scope of this thread is open in this storage already.", kind);
    misuse(happened, "A scope that began is ended before its storage is used again.",
           "Give each call a scope of its own, in automatic storage; pair each begin with one end.");
}

void check_storage(const thread &me, const char *kind, const void *storage) noexcept {
    for (const frame &scope : open_frames(me))
        if (&scope == storage)
            report_storage_in_use(kind, storage);
}

void push(thread &me, frame &on_top, pyattach::tag kind) noexcept {
    if (me.top == &on_top)
        me.top = &me.base;
    for (frame &scope : open_frames(me))
        if (scope.below == &on_top) {
            scope.below = &me.base;
            scope.sum = scope.is_fast ? fast_sum_of(scope.below) : sum_of(scope);
        }
    on_top.tag = kind;
    on_top.inert = on_top.is_fast = on_top.ungated = false;
    on_top.nested_before = me.nested_open;
    on_top.below = me.top;
    on_top.sum = sum_of(on_top);
    me.top = &on_top;
}

} // namespace pyattach
