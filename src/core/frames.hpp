// Frames: the scopes that are open on the calling thread, as far as they can be read.
//
// A frame is in storage of its caller. The caller's stack can be unwound while the scope is still open, by
// pthread_exit, by a return or by longjmp. Then the thread's record still points to the frame, and other code
// overwrites it, at the latest in the destructors that run when the thread ends. The library cannot detect in advance
// that they run. So:
//   - The fast paths compare words of a frame with words of the record. They follow no pointer in a frame that its
//     owner did not pass in.
//   - The thread-exit hook, which runs after the stack has been unwound, reads no frame at all.
//   - All other code reads frames through this file, which follows no pointer in a frame before it has checked the
//     frame. It compares what the fast path wrote with the record, and what other paths wrote with a sum.
// A frame that cannot be read hides the frames below it. Code assumes that they are open where that is safe (a
// participant that may be in use is not given up), and otherwise that there are none.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

// Whether the frame still holds what its begin wrote.
bool is_intact(const thread &me, const frame &scope) noexcept;

// NULL: this is the thread's bottom frame, or it cannot be read.
inline frame *readable(const thread &me, frame *scope) noexcept {
    return scope != &me.base && is_intact(me, *scope) ? scope : nullptr;
}
inline frame *readable_top(const thread &me) noexcept { return readable(me, me.top); }

// The open frames as far as they can be read, innermost first: for (frame &scope : open_frames(me)).
class open_frames {
  public:
    explicit open_frames(const thread &me) noexcept : me_(me) {}

    class iterator {
      public:
        iterator(const thread &me, frame *scope) noexcept : me_(&me), scope_(scope) {}
        frame &operator*() const noexcept { return *scope_; }
        iterator &operator++() noexcept {
            scope_ = readable(*me_, scope_->below);
            return *this;
        }
        bool operator!=(const iterator &other) const noexcept { return scope_ != other.scope_; }

      private:
        const thread *me_;
        frame *scope_;
    };
    iterator begin() const noexcept { return {me_, readable_top(me_)}; }
    iterator end() const noexcept { return {me_, nullptr}; }

    // Whether they can all be read, so that the last one is on top of the bottom frame.
    bool are_all() const noexcept {
        const frame *below = me_.top;
        for (const frame &scope : *this)
            below = scope.below;
        return below == &me_.base;
    }

  private:
    const thread &me_;
};

// A scope begins in the storage of an open scope of this thread, and would overwrite its frame. Aborts, unless the
// storage is on the thread's own stack. There the open scope may be of a function that has been left without ending it,
// for example in a destructor at the thread's end. If it is not, the second end detects the misuse. Only addresses are
// compared, because the storage of a scope that has not begun is not initialized.
[[gnu::noinline]] void report_storage_in_use(const char *kind, const void *storage) noexcept;
// Calls it if a frame of this thread is open in this storage.
void check_storage(const thread &me, const char *kind, const void *storage) noexcept;

// Makes this the top frame. If an open frame was in the same storage, that frame and all below it are dropped from the
// stack.
void push(thread &me, frame &on_top, pyattach::tag kind) noexcept;

} // namespace pyattach
