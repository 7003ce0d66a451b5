// Trace: what each thread notes while a trace records.
#include "core/trace.hpp"

#include <cstring>
#include <new>

#include "base/diagnostics.hpp"
#include "core/interpreter.hpp"
#include "core/trace_ring.hpp"
#include "platform/memory.hpp"

namespace pyattach::trace {

std::atomic<bool> is_recording{false};
session current_session;

ring *make_ring(size_t slots) noexcept {
    void *memory = map_memory(size_of_ring(slots));
    if (!memory)
        return nullptr;
    ring *made = new (memory) ring();
    made->mask = slots - 1;
    return made;
}

void ring::write(uint64_t when, kind what, uint8_t detail, uint64_t object, uint64_t value,
                 bool keeps_oldest) noexcept {
    const uint64_t number = head.load(std::memory_order_relaxed);
    if (keeps_oldest && number > mask) {
        current_session.lost.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    slot &to = at(number);
    // A reader that reads one of the words below also reads the head that was stored last.
    std::atomic_thread_fence(std::memory_order_release);
    to.words[0].store(when, std::memory_order_relaxed);
    to.words[1].store(uint64_t{thread} << 32 | uint64_t{detail} << 8 | static_cast<uint8_t>(what),
                      std::memory_order_relaxed);
    to.words[2].store(object, std::memory_order_relaxed);
    to.words[3].store(value, std::memory_order_relaxed);
    head.store(number + 1, std::memory_order_release);
}

size_t ring::read(record *to, uint64_t &overwritten) noexcept {
    const uint64_t slots = mask + 1, end = head.load(std::memory_order_acquire);
    const uint64_t begin = end > slots ? end - slots : 0;
    for (uint64_t number = begin; number < end; ++number) {
        const slot &from = at(number);
        const uint64_t packed = from.words[1].load(std::memory_order_relaxed);
        to[number - begin] = {from.words[0].load(std::memory_order_relaxed),
                              static_cast<uint32_t>(packed >> 32),
                              static_cast<kind>(packed & 0xff),
                              static_cast<uint8_t>(packed >> 8 & 0xff),
                              from.words[2].load(std::memory_order_relaxed),
                              from.words[3].load(std::memory_order_relaxed),
                              0};
    }
    // The writer may be writing the record after the last one, in the slot of the oldest one that is left.
    std::atomic_thread_fence(std::memory_order_acquire);
    const uint64_t now = head.load(std::memory_order_relaxed);
    uint64_t first = now > mask ? now - mask : 0;
    first = first < begin ? begin : first > end ? end : first;
    overwritten += first;
    std::memmove(to, to + (first - begin), (end - first) * sizeof *to);
    return end - first;
}

namespace {

ring *take_free_ring() noexcept {
    for (ring *free = current_session.rings.load(std::memory_order_acquire); free; free = free->next)
        if (!free->is_taken.load(std::memory_order_relaxed) &&
            !free->is_taken.exchange(true, std::memory_order_acquire))
            return free;
    return nullptr;
}

ring *add_ring() noexcept {
    ring *made = make_ring(current_session.slots);
    if (!made)
        return nullptr;
    made->is_taken.store(true, std::memory_order_relaxed);
    ring *first = current_session.rings.load(std::memory_order_relaxed);
    do
        made->next = first;
    while (!current_session.rings.compare_exchange_weak(first, made, std::memory_order_release,
                                                        std::memory_order_relaxed));
    return made;
}

[[gnu::noinline]] ring *take_ring(thread &me) noexcept {
    ring *taken = take_free_ring();
    if (!taken)
        taken = add_ring();
    if (!taken)
        return nullptr;
    const uint32_t number = current_session.threads.fetch_add(1, std::memory_order_relaxed) + 1;
    const pid_t id = own_native_id();
    if (number <= most_named) {
        // A reader reads this only after it has acquired the head of the ring with a record of the thread.
        thread_info &info = current_session.infos[number - 1];
        info.native_id = id;
        name_of(id, info.name);
    }
    taken->thread = number;
    taken->wait_began = 0;
    taken->write(ticks(), kind::thread_begins, 0, 0, static_cast<uint64_t>(id), current_session.keeps_oldest);
    me.ring.store(taken, std::memory_order_relaxed);
    return taken;
}

// While one exists, a stop waits for this thread.
class noting {
  public:
    explicit noting(thread &me) noexcept : me_(me) {
        me.records_now.store(true, std::memory_order_relaxed);
        light_fence(may_fence_lightly());
        // Acquire: what the start wrote before.
        if (is_recording.load(std::memory_order_acquire)) {
            to_ = me.ring.load(std::memory_order_relaxed);
            if (!to_ && !(to_ = take_ring(me)))
                current_session.lost.fetch_add(1, std::memory_order_relaxed);
        }
    }
    ~noting() { me_.records_now.store(false, std::memory_order_release); }
    noting(const noting &) = delete;
    noting &operator=(const noting &) = delete;

    // NULL: nothing is to be noted.
    ring *to() const noexcept { return to_; }

  private:
    thread &me_;
    ring *to_ = nullptr;
};

} // namespace

void note_at(uint64_t when, kind what, uint8_t detail, uint64_t object, uint64_t value) noexcept {
    thread *me = this_thread.record();
    if (!me) {
        current_session.lost.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    const noting now(*me);
    ring *to = now.to();
    if (!to)
        return;
    // A refusal ends a wait; a thread that did not wait goes on as it was.
    if (what == kind::leaves || what == kind::detaches || (what == kind::refused && to->wait_began))
        me->since.store(when, std::memory_order_relaxed);
    if (what == kind::refused)
        to->wait_began = 0;
    to->write(when, what, detail, object, value, current_session.keeps_oldest);
}

void note(kind what, uint8_t detail, uint64_t object, uint64_t value) noexcept {
    note_at(ticks(), what, detail, object, value);
}

void note_wants(const interpreter *interp, how why) noexcept {
    thread *me = this_thread.record();
    if (!me)
        return;
    const noting now(*me);
    if (ring *to = now.to()) {
        to->wait_began = ticks();
        me->since.store(to->wait_began, std::memory_order_relaxed);
        to->write(to->wait_began, kind::wants, why, word_of(interp), 0, current_session.keeps_oldest);
    }
}

void note_attached(const interpreter *interp, int flags) noexcept {
    thread *me = this_thread.record();
    if (!me)
        return;
    const noting now(*me);
    if (ring *to = now.to()) {
        const uint64_t when = ticks(), began = to->wait_began;
        to->wait_began = 0;
        me->since.store(when, std::memory_order_relaxed);
        to->write(when, kind::attached, static_cast<uint8_t>(flags), word_of(interp), began ? when - began : 0,
                  current_session.keeps_oldest);
    }
}

void note_refused(status why, const interpreter *interp) noexcept {
    // A thread may be refused before it has a record.
    if (own_record())
        note(kind::refused, static_cast<uint8_t>(why), word_of(interp), 0);
}

void note_label(const char *label) noexcept {
    char text[64] = {};
    std::strncpy(text, label, sizeof text - 1);
    const uint64_t when = ticks();
    for (size_t at = 0; at < sizeof text && text[at]; at += 16) {
        uint64_t words[2];
        std::memcpy(words, text + at, sizeof words);
        note_at(when, kind::label, 0, words[0], words[1]);
    }
}

void note_lock_wait(uint64_t began, lock_kind which, const void *lock) noexcept {
    // A lock that is free is taken in less. Ticks are of a nanosecond or shorter, so no wait of a microsecond is lost.
    constexpr uint64_t shortest = 1000;
    const uint64_t now = ticks();
    if (!began || now - began < shortest)
        return;
    note_at(began, kind::lock_waits, static_cast<uint8_t>(which), word_of(lock), 0);
    note_at(now, kind::lock_got, static_cast<uint8_t>(which), word_of(lock), 0);
}

void end_thread(thread &ended) noexcept {
    const noting now(ended);
    // Without a ring of its own the thread has recorded nothing, and need not begin.
    ring *own = ended.ring.load(std::memory_order_relaxed) ? now.to() : nullptr;
    if (!own)
        return;
    own->write(ticks(), kind::thread_ends, 0, 0, 0, current_session.keeps_oldest);
    ended.ring.store(nullptr, std::memory_order_relaxed);
    own->is_taken.store(false, std::memory_order_release);
}

} // namespace pyattach::trace
