// Replay: the state of each thread, interpreter and lock while the records are gone through.
#include "trace/replay.hpp"

#include <algorithm>
#include <cstdio>

#include "trace/utf8.hpp"

namespace pyattach::trace {

replay::replay(timeline &to, const recorded &from) noexcept : to_(to), from_(from) {
    const auto ticks = static_cast<double>(from.end.ticks - from.begin.ticks);
    ns_per_tick_ = ticks > 0 ? static_cast<double>(from.end.ns - from.begin.ns) / ticks : 1;
    to.begin_ns = from.begin.ns;
    to.end_ns = std::max(from.end.ns, from.begin.ns);
    to.lost = from.lost;
    to.free_threaded = from.free_threaded;
}

int64_t replay::ns_of(uint64_t ticks) const noexcept {
    const auto since = static_cast<double>(static_cast<int64_t>(ticks - from_.begin.ticks));
    return from_.begin.ns + static_cast<int64_t>(since * ns_per_tick_);
}

uint32_t replay::name(const char *given) noexcept {
    char text[160];
    std::snprintf(text, sizeof text, "%s", given);
    make_utf8(text);
    // Most names are among the few that were used last.
    const size_t known = known_names_.size();
    for (size_t i = known; i > 0 && known - i < 64; --i)
        if (!std::strcmp(to_.text(known_names_[i - 1]), text))
            return known_names_[i - 1];
    const auto at = static_cast<uint32_t>(to_.names.size());
    const size_t size = std::strlen(text) + 1;
    if (char *added = to_.names.extend(size))
        std::memcpy(added, text, size);
    else
        return 0;
    known_names_.push(at);
    return at;
}

uint32_t replay::add_track(track_kind what, uint64_t of, const char *text) noexcept {
    track added = {what, lock_kind::mutex, of, 0, ""};
    std::snprintf(added.name, sizeof added.name, "%s", text);
    make_utf8(added.name);
    to_.tracks.push(added);
    return static_cast<uint32_t>(to_.tracks.size() - 1);
}

thread_state_at &replay::thread(uint32_t number, uint64_t native_id) noexcept {
    while (threads_.size() < number)
        if (!threads_.push({none, none, none, category::detached, false, 0, ""}))
            return no_thread_;
    thread_state_at &found = number ? threads_[number - 1] : no_thread_;
    if (number && found.track == none) {
        char text[80];
        const bool is_named = number <= from_.named && from_.threads[number - 1].native_id;
        const pid_t id = is_named ? from_.threads[number - 1].native_id : static_cast<pid_t>(native_id);
        std::snprintf(text, sizeof text, "%s", is_named ? from_.threads[number - 1].name : "");
        if (!text[0])
            std::snprintf(text, sizeof text, "thread %u", number);
        found.track = add_track(track_kind::thread, number, text);
        if (!to_.has_failed())
            to_.tracks[found.track].native_id = id;
    }
    return found;
}

void replay::name_of_native(pid_t id, char (&text)[32]) const noexcept {
    std::snprintf(text, sizeof text, "thread %d", static_cast<int>(id));
    for (size_t i = 0; i < from_.named; ++i)
        if (from_.threads[i].native_id == id && from_.threads[i].name[0])
            std::snprintf(text, sizeof text, "%.31s", from_.threads[i].name);
}

interpreter_at &replay::interpreter(uint64_t of) noexcept {
    for (interpreter_at &known : interpreters_)
        if (known.of == of)
            return known;
    const size_t number = interpreters_.size();
    char which[32], text[80];
    // The first interpreter that a program uses is the main one.
    std::snprintf(which, sizeof which, number ? "interpreter %zu" : "main interpreter", number + 1);
    interpreter_at added = {of, none, none, none, none, none, 0, 0};
    std::snprintf(text, sizeof text, "holds Python (%s)", which);
    if (!from_.free_threaded)
        added.holder_track = add_track(track_kind::holder, of, text);
    std::snprintf(text, sizeof text, "waiting threads (%s)", which);
    added.waiting_track = add_track(track_kind::waiting, of, text);
    return interpreters_.push(added) ? interpreters_[number] : no_interpreter_;
}

uint32_t replay::open(uint32_t track, category what, int64_t at, uint32_t text) noexcept {
    to_.slices.push({at, to_.end_ns, track, text, none, none, none, none, what, true});
    return static_cast<uint32_t>(to_.slices.size() - 1);
}

uint32_t replay::open_hold(uint32_t track, uint32_t holder, int64_t at) noexcept {
    if (to_.has_failed())
        return none;
    const uint32_t opened = open(track, category::holds, at, name(to_.tracks[holder].name));
    if (!to_.has_failed())
        to_.slices[opened].by = holder;
    return opened;
}

void replay::close(uint32_t &slice, int64_t at) noexcept {
    if (slice != none && !to_.has_failed()) {
        to_.slices[slice].end_ns = std::max(at, to_.slices[slice].begin_ns);
        to_.slices[slice].is_open = false;
    }
    slice = none;
}

void replay::add_flow(uint32_t from, int64_t from_ns, uint32_t to, int64_t to_ns) noexcept {
    if (to_.has_failed())
        return;
    const auto number = static_cast<uint32_t>(to_.flows.size());
    if (to_.flows.push({from, to, to_.slices[from].flow_out, from_ns, to_ns}))
        to_.slices[from].flow_out = to_.slices[to].flow_in = number;
    to_.slices[to].by = to_.slices[from].track;
}

void replay::sample_waiting(const interpreter_at &interp, int64_t at) noexcept {
    to_.samples.push({at, interp.waiting_track, interp.waiting});
}

void replay::mark(const thread_state_at &thread, int64_t at, const char *format, const char *what) noexcept {
    char text[160];
    std::snprintf(text, sizeof text, format, what);
    to_.instants.push({at, thread.track, name(text)});
}

void replay::end_state(thread_state_at &thread, int64_t at) noexcept { close(thread.state, at); }

void replay::end_wait(thread_state_at &thread, int64_t at) noexcept {
    if (!thread.waits_in)
        return;
    interpreter_at &interp = interpreter(thread.waits_in);
    thread.waits_in = 0;
    if (interp.waiting)
        --interp.waiting;
    sample_waiting(interp, at);
}

void replay::end_all(thread_state_at &thread, int64_t at) noexcept {
    end_wait(thread, at);
    close(thread.house, at);
    close(thread.state, at);
}

void replay::wants(thread_state_at &thread, uint64_t of, int64_t at) noexcept {
    end_wait(thread, at);
    end_state(thread, at);
    thread.state = open(thread.track, category::waiting, at, name("waiting"));
    if (!of) // the first attach to the main interpreter, of which there is no record yet
        return;
    interpreter_at &interp = interpreter(of);
    thread.waits_in = of;
    ++interp.waiting;
    sample_waiting(interp, at);
}

void replay::attached(thread_state_at &thread, const record &next, int64_t at) noexcept {
    end_wait(thread, at);
    interpreter_at &interp = interpreter(next.object);
    const uint32_t wait = thread.state;
    const bool has_waited = wait != none && !to_.has_failed() && to_.slices[wait].what == category::waiting;
    if (has_waited && !from_.free_threaded) {
        // Who has it still gave it away without this library, to this thread or to one that Python made.
        if (interp.holder != none)
            add_flow(interp.holder, at, wait, at);
        else if (interp.last != none && interp.last_ns >= to_.slices[wait].begin_ns)
            add_flow(interp.last, interp.last_ns, wait, at);
    }
    end_state(thread, at);
    thread.state = open(thread.track, category::attached, at,
                        name(next.detail & first_attach ? "attached for the first time" : "attached"));
    thread.label[0] = '\0';
    if (has_waited && !to_.has_failed() && to_.slices[wait].flow_in != none)
        to_.slices[thread.state].resumed_by = to_.slices[wait].flow_in;
    if (from_.free_threaded || to_.has_failed())
        return;
    close(interp.holds, at);
    interp.holds = open_hold(interp.holder_track, thread.track, at);
    interp.holder = thread.state;
}

void replay::gives_up(thread_state_at &thread, uint64_t of, int64_t at, bool detaches) noexcept {
    const uint32_t was_attached = thread.state;
    end_wait(thread, at);
    end_state(thread, at);
    if (of && !from_.free_threaded) {
        interpreter_at &interp = interpreter(of);
        // If another thread has attached since, this one got Python back without this library.
        close(interp.holds, at);
        interp.holder = none;
        interp.last = was_attached;
        interp.last_ns = at;
    }
    if (detaches)
        thread.state = open(thread.track, category::detached, at, name("detached"));
}

void replay::labelled(thread_state_at &thread, const record &next) noexcept {
    const size_t length = std::strlen(thread.label);
    if (thread.state == none || to_.has_failed() || length + 16 >= sizeof thread.label)
        return;
    const uint64_t words[2] = {next.object, next.value};
    std::memcpy(thread.label + length, words, sizeof words);
    thread.label[length + 16] = '\0';
    char text[80];
    std::snprintf(text, sizeof text, "attached: %s", thread.label);
    to_.slices[thread.state].name = name(text);
}

void replay::work(thread_state_at &thread, const record &next, int64_t at, const char *format) noexcept {
    char text[80];
    std::snprintf(text, sizeof text, format, static_cast<unsigned long long>(next.object));
    uint32_t done = open(thread.track, category::work, ns_of(next.ticks - next.value), name(text));
    close(done, at);
}

void replay::pool_size(const record &next, int64_t at) noexcept {
    uint32_t found = none;
    for (uint32_t i = 0; i < to_.tracks.size() && found == none; ++i)
        if (to_.tracks[i].what == track_kind::pool && to_.tracks[i].of == next.object)
            found = i;
    if (found == none)
        found = add_track(track_kind::pool, next.object, "references that wait in the pool");
    to_.samples.push({at, found, next.value});
}

void replay::finish() noexcept {
    for (thread_state_at &thread : threads_)
        if (thread.state != none && thread.waits_in)
            mark(thread, to_.end_ns, "still waiting%s", "");
}

} // namespace pyattach::trace
