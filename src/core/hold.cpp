// Hold: while there is one, an interpreter whose end has begun still lets threads in.
#include "core/hold.hpp"

#include <cstdio>
#include <cstring>

#include "base/diagnostics.hpp"
#include "base/list.hpp"
#include "core/after_fork.hpp"
#include "platform/clock.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach {
namespace {

list<hold, &hold::next, &hold::previous> all_holds; // under the registry's lock
futex::word ended_holds{0};                         // how many have ended

// How many holds a begin compares with its storage: a hold that was left open is found where it matters, and the begin
// stays short where there are thousands.
constexpr int most_compared = 256;

bool is_open_in_locked(const hold *storage) noexcept {
    int compared = 0;
    for (const hold &open : all_holds) {
        if (&open == storage)
            return true;
        if (++compared == most_compared)
            break;
    }
    return false;
}

unsigned count_locked(const interpreter &interp, bool with_tickets) noexcept {
    unsigned count = 0;
    for (const hold &open : all_holds)
        count += open.interp == &interp && (with_tickets || open.tag == tag::hold);
    return count;
}

} // namespace

status begin_hold_of(hold &begun, interpreter &interp, const char *label, pyattach::tag kind) noexcept {
    if (is_cut_off())
        return begun.tag = tag::refused, refused_after_fork();
    lock_registry();
    // Only addresses are compared: the storage of a hold that has not begun is not initialized.
    const bool is_open_already = is_open_in_locked(&begun);
    const bool may_begin = !is_open_already && interp.gate.now() == gate::open;
    if (may_begin) {
        begun.tag = kind;
        begun.made_in = fork_generation.load(std::memory_order_relaxed);
        begun.interp = &interp;
        std::snprintf(begun.label, sizeof begun.label, "%s", label ? label : "");
        all_holds.push_front(begun);
        ++interp.data->refs;
    }
    unlock_registry();
    if (is_open_already)
        misuse("pyattach_hold_begin: a hold is open in this storage already.",
               "A hold that began is ended before its storage is used again.",
               "Give each hold storage of its own; pair each begin with one end.");
    if (may_begin)
        return PYATTACH_OK;
    begun.tag = tag::refused;
    return PYATTACH_FINALIZING;
}

void end_hold(hold &ended) noexcept {
    if (ended.tag != tag::hold && ended.tag != tag::ticket)
        misuse(ended.tag == tag::ended     ? "pyattach_hold_end: this hold was ended already."
               : ended.tag == tag::refused ? "pyattach_hold_end: this hold was refused when it began."
                                           : "pyattach_hold_end: this is not a hold.",
               "A hold that began is ended once, at its own address.",
               "Look at the status of pyattach_hold_begin, and pair each OK with one end.");
    ended.tag = tag::ended;
    if (ended.made_in != fork_generation.load(std::memory_order_relaxed))
        return;
    const interpreter &interp = *ended.interp;
    lock_registry();
    all_holds.remove(ended);
    const bool is_awaited = interp.gate.now() != gate::open;
    ended_holds.fetch_add(1, std::memory_order_relaxed);
    release_data_locked(*ended.interp);
    unlock_registry();
    if (is_awaited)
        futex::wake(ended_holds, futex::everyone);
}

unsigned await_holds(const interpreter &interp, int64_t deadline_ns, bool with_tickets) noexcept {
    uncancelled no_cancel;
    for (;;) {
        lock_registry();
        const unsigned count = count_locked(interp, with_tickets);
        const uint32_t seen = ended_holds.load(std::memory_order_relaxed);
        unlock_registry();
        const int64_t left_ns = count ? deadline_ns - monotonic_ns() : 0;
        if (left_ns <= 0)
            return count;
        futex::wait(ended_holds, seen, left_ns);
    }
}

size_t list_holds(const interpreter &interp, char *text, size_t size) noexcept {
    size_t length = 0;
    text[0] = '\0';
    lock_registry();
    for (const hold &open : all_holds) {
        if (open.interp != &interp || open.tag != tag::hold)
            continue;
        const char *label = open.label[0] ? open.label : "without a label";
        const size_t needed = std::strlen(label) + 2;
        if (length + needed >= size)
            break;
        length += static_cast<size_t>(std::snprintf(text + length, size - length, "%s%s", length ? ", " : "", label));
    }
    unlock_registry();
    return length;
}

void forget_holds_locked(bool is_lost) noexcept {
    if (!is_lost)
        for (const hold &open : all_holds)
            release_data_locked(*open.interp);
    all_holds.forget_all();
}

} // namespace pyattach
