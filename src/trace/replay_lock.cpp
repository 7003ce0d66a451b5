// Replay of locks: who waited for a lock, who released it, and who had it.
#include <algorithm>
#include <cstdio>

#include "trace/replay.hpp"

namespace pyattach::trace {
namespace {

const char *name_of(lock_kind which) noexcept {
    static const char *const names[] = {"mutex", "once", "critical section"};
    return names[static_cast<unsigned>(which) % 3];
}

} // namespace

lock_at *replay::find_lock(uint64_t of) noexcept {
    for (lock_at &known : locks_)
        if (known.of == of)
            return &known;
    return nullptr;
}

lock_at &replay::lock(const record &next) noexcept {
    if (lock_at *known = find_lock(next.object))
        return *known;
    const auto which = static_cast<lock_kind>(next.detail);
    char text[80];
    std::snprintf(text, sizeof text, "%s 0x%llx", name_of(which), static_cast<unsigned long long>(next.object));
    const lock_at added = {next.object, add_track(track_kind::lock, next.object, text), none, none, 0};
    if (!to_.has_failed())
        to_.tracks[added.track].lock = which;
    return locks_.push(added) ? locks_[locks_.size() - 1] : no_lock_;
}

void replay::lock_waits(thread_state_at &thread, const record &next, int64_t at) noexcept {
    const lock_at &waited_for = lock(next);
    if (to_.has_failed())
        return;
    thread.had_state = thread.state != none;
    if (thread.had_state)
        thread.before_lock = to_.slices[thread.state].what;
    end_state(thread, at);
    char text[120];
    std::snprintf(text, sizeof text, "waits for %s", to_.tracks[waited_for.track].name);
    thread.state = open(thread.track, category::lock, at, name(text));
}

void replay::lock_got(thread_state_at &thread, const record &next, int64_t at) noexcept {
    lock_at &got = lock(next);
    const uint32_t wait = thread.state;
    if (to_.has_failed() || wait == none || to_.slices[wait].what != category::lock)
        return;
    if (got.last != none && got.last_ns >= to_.slices[wait].begin_ns && got.last != wait)
        add_flow(got.last, got.last_ns, wait, at);
    end_state(thread, at);
    if (thread.had_state)
        thread.state = open(thread.track, thread.before_lock, at, name(trace::name_of(thread.before_lock)));
    if (!to_.has_failed() && thread.state != none && to_.slices[wait].flow_in != none)
        to_.slices[thread.state].resumed_by = to_.slices[wait].flow_in;
    if (next.what != kind::lock_got || got.of == 0 || to_.tracks[got.track].lock != lock_kind::mutex)
        return;
    close(got.holds, at);
    got.holds = open_hold(got.track, thread.track, at);
}

void replay::lock_released(thread_state_at &thread, const record &next, int64_t at) noexcept {
    lock_at *const known = find_lock(next.object);
    if (!known) // no thread has waited for it
        return;
    lock_at &released = *known;
    close(released.holds, at);
    // The thread may be detached or not attached at all. Where it has no slice, a short one shows the release.
    released.last =
        thread.state != none ? thread.state : open(thread.track, category::work, at, name("releases a lock"));
    if (thread.state == none) {
        uint32_t done = released.last;
        close(done, at + 1);
    }
    released.last_ns = at;
}

} // namespace pyattach::trace
