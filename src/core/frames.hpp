// Frames: the scopes that are open on the calling thread, as far as they can be read.
//
// A frame is in its caller's storage, and a caller's stack can go without a scope having been ended: by pthread_exit,
// by a return, by longjmp. The record then still points there, and other code has written over it, at the latest in the
// destructors that run when the thread ends; nothing tells beforehand that they run. So:
//   - the fast paths compare words of a frame with words of the record, and follow no pointer out of a frame that was
//     not handed in by its owner;
//   - the exit hook, which knows that the stack has gone, reads no frame at all;
//   - everything else goes through here, where no pointer is followed that the frame does not confirm: what the warm
//     path wrote there is compared with the record, and what other paths wrote there with a sum.
// A frame that cannot be read hides those below it. They are taken as open where that is the safe side (a participant
// in use is not given up), and as not there where it is not.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

// Whether the frame is as it was when it began.
bool is_intact(const thread &me, const frame &scope) noexcept;

// NULL: that is the thread's bottom frame, or one that cannot be read.
inline frame *readable(const thread &me, frame *scope) noexcept {
    return scope != &me.base && is_intact(me, *scope) ? scope : nullptr;
}
inline frame *readable_top(const thread &me) noexcept { return readable(me, me.top); }

// for (frame &scope : open_frames(me)), innermost first.
class open_frames {
  public:
    explicit open_frames(const thread &me) noexcept : me_(me) {}

    class iterator {
      public:
        iterator(const thread &me, frame *scope) noexcept : me_(&me), at_(scope) {}
        frame &operator*() const noexcept { return *at_; }
        iterator &operator++() noexcept {
            at_ = readable(*me_, at_->below);
            return *this;
        }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        const thread *me_;
        frame *at_;
    };
    iterator begin() const noexcept { return {me_, readable_top(me_)}; }
    iterator end() const noexcept { return {me_, nullptr}; }

    // Whether the last of them is the outermost one.
    bool are_all() const noexcept {
        const frame *below = me_.top;
        for (const frame &scope : *this)
            below = scope.below;
        return below == &me_.base;
    }

  private:
    const thread &me_;
};

// A scope is to begin in storage in which one of this thread's is open, whose frame would be overwritten: aborts,
// unless that is on the thread's own stack. There it may be what a function has left behind that is gone, in a
// destructor at the thread's end, say; if it is not, the second end notices. Only addresses are compared, as storage
// that is to begin is not initialised.
[[gnu::noinline]] void report_storage_in_use(const char *kind, const void *storage) noexcept;
void check_storage(const thread &me, const char *kind, const void *storage) noexcept;

// The frame becomes the top one. One that was in its storage, and those below that, are forgotten.
void push(thread &me, frame &on_top, pyattach::tag kind) noexcept;

} // namespace pyattach
