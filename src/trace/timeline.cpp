// Timeline: goes through the records in the order of time.
#include "trace/timeline.hpp"

#include <cstdio>

#include "base/status.hpp"
#include "trace/replay.hpp"

namespace pyattach::trace {

const char *name_of(category what) noexcept {
    static const char *const names[] = {"attached", "waiting", "detached", "lock", "holds", "work"};
    return names[static_cast<unsigned>(what)];
}

namespace {

const char *state_of_gate(uint8_t state) noexcept {
    static const char *const names[] = {"open", "held", "closed", "sealed", "ended", "cleared"};
    return state < sizeof names / sizeof *names ? names[state] : "?";
}

void replay_record(replay &to, const record &next) noexcept {
    const int64_t at = to.ns_of(next.ticks);
    thread_state_at &thread = to.thread(next.thread, next.value);
    switch (next.what) {
    case kind::none:
    case kind::thread_begins:
        return;
    case kind::thread_ends:
        return to.end_all(thread, at);
    case kind::wants:
        return to.wants(thread, next.object, at);
    case kind::attached:
        return to.attached(thread, next, at);
    case kind::leaves:
        return to.gives_up(thread, next.object, at, false);
    case kind::detaches:
        return to.gives_up(thread, next.object, at, true);
    case kind::refused:
        to.end_wait(thread, at);
        to.end_state(thread, at);
        return to.mark(thread, at, "refused: %s", message_of(static_cast<pyattach_status>(next.detail)));
    case kind::label:
        return to.labelled(thread, next);
    case kind::drained:
        return to.work(thread, next, at, "drain: %llu references");
    case kind::reaped:
        return to.work(thread, next, at, "reap: %llu thread states");
    case kind::lock_waits:
        return to.lock_waits(thread, next, at);
    case kind::lock_got:
    case kind::lock_gone:
        return to.lock_got(thread, next, at);
    case kind::lock_released:
        return to.lock_released(thread, next, at);
    case kind::gate:
        return to.mark(thread, at, "gate: %s", state_of_gate(next.detail));
    case kind::pool:
        return to.pool_size(next, at);
    case kind::exit_waits: {
        char name[32];
        to.name_of_native(static_cast<pid_t>(next.value), name);
        return to.mark(thread, at, "exit waits for %s", name);
    }
    case kind::exit_timed_out:
        return to.mark(thread, at, "exit: timed out%s", "");
    case kind::forked:
        return to.mark(thread, at, "forked%s", "");
    case kind::house_begins:
        thread.house = to.open(thread.track, category::work, at, to.name("housekeeping"));
        return;
    case kind::house_ends:
        to.close(thread.house, at);
        return;
    }
}

} // namespace

bool build(timeline &to, const recorded &from) noexcept {
    replay run(to, from);
    for (size_t i = 0; i < from.count && !to.has_failed(); ++i)
        replay_record(run, from.records[i]);
    run.finish();
    return !to.has_failed();
}

} // namespace pyattach::trace
