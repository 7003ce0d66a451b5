// Trace session: starts and stops a trace, and copies what it has recorded.
#include "core/trace_session.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "core/trace_ring.hpp"
#include "platform/memory.hpp"
#include "platform/process.hpp"
#include "platform/signal.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach::trace {
namespace {

constexpr size_t usual_slots = 16384, fewest_slots = 64;
constexpr size_t size_of_infos = most_named * sizeof(thread_info);

// Guards the start and the end of a trace, and keeps its rings while they are copied. Threads that record do not need
// it.
internal_lock session_lock;
tick_moment began, ended;
// The target of a dump; an empty path: there is none.
dump_target target;

bool is_format(int format) noexcept { return format >= PYATTACH_TRACE_CHROME && format <= PYATTACH_TRACE_HTML; }

// 0: so many do not fit into the memory that can be addressed.
size_t round_up(size_t wanted) noexcept {
    size_t slots = fewest_slots;
    while (slots && slots < wanted)
        slots *= 2;
    return slots > SIZE_MAX / 2 / sizeof(slot) ? 0 : slots;
}

void free_rings() noexcept {
    for (ring *next, *freed = current_session.rings.exchange(nullptr, std::memory_order_relaxed); freed; freed = next) {
        next = freed->next;
        unmap_memory(freed, size_of_ring(freed->mask + 1));
    }
}

// No thread records, and none will before the next start.
void discard_locked() noexcept {
    for_each_record([](thread &record) noexcept {
        record.ring.store(nullptr, std::memory_order_relaxed);
        record.since.store(0, std::memory_order_relaxed);
    });
    free_rings();
    if (current_session.infos)
        unmap_memory(current_session.infos, size_of_infos);
    current_session.infos = nullptr;
    current_session.slots = 0;
    current_session.threads.store(0, std::memory_order_relaxed);
    current_session.lost.store(0, std::memory_order_relaxed);
}

enum class problem { none, is_running, no_memory };

problem start_locked(const pyattach_trace_options &options) noexcept {
    if (is_recording.load(std::memory_order_relaxed))
        return problem::is_running;
    const size_t slots = round_up(options.events_per_thread ? options.events_per_thread : usual_slots);
    ring *first = slots ? make_ring(slots) : nullptr;
    void *infos = first ? map_memory(size_of_infos) : nullptr;
    if (!infos) {
        if (first)
            unmap_memory(first, size_of_ring(slots));
        return problem::no_memory;
    }
    discard_locked();
    current_session.infos = static_cast<thread_info *>(infos);
    current_session.slots = slots;
    current_session.keeps_oldest = options.keep_oldest != 0;
    current_session.rings.store(first, std::memory_order_relaxed);
    target.path[0] = '\0';
    if (options.dump_path)
        std::memcpy(target.path, options.dump_path, std::strlen(options.dump_path) + 1);
    target.format = options.dump_format;
    prepare_ticks();
    prepare_fences();
    began = tick_moment_now();
    // The order that thread_local_words::tag() needs. Release: what was written above.
    is_recording.store(true, std::memory_order_release);
    heavy_fence();
    clear_fast_bits();
    return problem::none;
}

status refuse_options(const char *sentence) noexcept {
    static refusal_site bad_options;
    return refused(PYATTACH_INVALID, bad_options, sentence);
}

} // namespace

status start(const pyattach_trace_options *given) noexcept {
    static refusal_site is_running, no_memory;
    pyattach_trace_options options = {};
    if (given && given->struct_size == 0)
        return refuse_options("pyattach_trace_start: struct_size of the options is zero. It says which members the "
                              "caller knows. Set it to sizeof(pyattach_trace_options).");
    if (given)
        std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
    if (!is_format(options.dump_format))
        return refuse_options("pyattach_trace_start: dump_format is no format. The formats are those of "
                              "pyattach_trace_format. Set it to one of them.");
    if (options.dump_path && std::strlen(options.dump_path) >= sizeof target.path)
        return refuse_options(
            "pyattach_trace_start: dump_path is longer than a path can be. It is copied at the start. "
            "Give a path of less than 4096 bytes.");
    if (options.dump_signal && !may_be_taken(options.dump_signal))
        return refuse_options("pyattach_trace_start: dump_signal is no signal that a handler may take and return from. "
                              "SIGKILL, SIGSTOP, SIGABRT and those that report a fault are none. Use another one, such "
                              "as SIGUSR1.");
    if (options.dump_signal && !options.dump_path)
        return refuse_options("pyattach_trace_start: dump_signal has no dump_path. The trace is written there when the "
                              "signal comes. Name a file.");
    session_lock.lock();
    const problem found = start_locked(options);
    session_lock.unlock();
    if (found == problem::is_running)
        return refused(PYATTACH_INVALID, is_running,
                       "pyattach_trace_start: a trace records already, and goes on. There is one trace in a process. "
                       "Call pyattach_trace_stop first.");
    if (found == problem::no_memory)
        return refused(PYATTACH_NO_MEMORY, no_memory,
                       "pyattach_trace_start: there is no memory for the records of one thread, which are 32 bytes "
                       "each. The trace before is kept. Ask for fewer events_per_thread.");
    return PYATTACH_OK;
}

status stop() noexcept {
    static refusal_site none_records;
    session_lock.lock();
    const bool was_recording = is_recording.exchange(false, std::memory_order_relaxed);
    if (was_recording) {
        // As trace.hpp says. Acquire: the records that a thread has written.
        heavy_fence();
        for_each_record([](thread &record) noexcept {
            while (record.records_now.load(std::memory_order_acquire))
                sleep_uncancelled(20000);
        });
        ended = tick_moment_now();
    }
    session_lock.unlock();
    if (!was_recording)
        return refused(PYATTACH_INVALID, none_records,
                       "pyattach_trace_stop: no trace records. A trace is stopped once. Pair each pyattach_trace_start "
                       "that returned PYATTACH_OK with one stop.");
    return PYATTACH_OK;
}

recorded::~recorded() {
    std::free(records);
    std::free(threads);
}

namespace {

bool copy_locked(recorded &to) noexcept {
    ring *const first = current_session.rings.load(std::memory_order_acquire);
    // A thread may write more while the records are copied, so there is room for each slot.
    const size_t most = current_session.slots;
    to.lost = current_session.lost.load(std::memory_order_relaxed);
    for (ring *from = first; from; from = from->next) {
        void *larger = std::realloc(to.records, (to.count + most) * sizeof(record));
        if (!larger)
            return false;
        to.records = static_cast<record *>(larger);
        to.count += from->read(to.records + to.count, to.lost);
    }
    // After the heads, so each thread of a record that was read has written its name.
    to.named = std::min(current_session.threads.load(std::memory_order_relaxed), most_named);
    to.threads = static_cast<thread_info *>(std::malloc((to.named + 1) * sizeof(thread_info)));
    if (!to.threads)
        return false;
    std::memset(to.threads, 0, (to.named + 1) * sizeof(thread_info));
    for (size_t i = 0; i < to.count; ++i)
        if (const uint32_t number = to.records[i].thread;
            number && number <= to.named && !to.threads[number - 1].native_id)
            to.threads[number - 1] = current_session.infos[number - 1];
    to.begin = began;
    to.end = is_recording.load(std::memory_order_relaxed) ? tick_moment_now() : ended;
    // The thread of the newest record in a ring is the one that has the ring, or had it last.
    for (size_t i = 0; i < to.count; ++i)
        if (const uint32_t number = to.records[i].thread; number && number <= to.named)
            to.threads[number - 1].runs = to.records[i].what != kind::thread_ends;
    return true;
}

// A thread may have got its name after its first record.
void read_names_again(const recorded &copy) noexcept {
    for (size_t i = 0; i < copy.named; ++i) {
        char name[sizeof copy.threads->name];
        if (!copy.threads[i].runs)
            continue;
        name_of(copy.threads[i].native_id, name);
        if (name[0])
            std::memcpy(copy.threads[i].name, name, sizeof name);
    }
}

} // namespace

status copy_recorded(recorded &to) noexcept {
    static refusal_site never_started, no_memory;
    session_lock.lock();
    const bool is_there = current_session.slots != 0;
    const bool is_copied = is_there && copy_locked(to);
    session_lock.unlock();
    if (!is_there)
        return refused(PYATTACH_INVALID, never_started,
                       "pyattach_trace_write: nothing has been recorded in this process. A trace is started before it "
                       "is written. Call pyattach_trace_start first.");
    if (!is_copied)
        return refused(PYATTACH_NO_MEMORY, no_memory,
                       "pyattach_trace_write: there is no memory for a copy of the records. They are kept. Free some "
                       "memory, and write again.");
    for (size_t i = 0; i < to.count; ++i)
        to.records[i].order = static_cast<uint32_t>(i);
    std::sort(to.records, to.records + to.count, [](const record &left, const record &right) noexcept {
        return left.ticks != right.ticks ? left.ticks < right.ticks : left.order < right.order;
    });
    read_names_again(to);
    to.free_threaded = cpython::python().free_threaded;
    return PYATTACH_OK;
}

bool find_dump_target(dump_target &found) noexcept {
    if (!is_recording.load(std::memory_order_relaxed))
        return false;
    session_lock.lock();
    found = target;
    session_lock.unlock();
    return found.path[0] != '\0';
}

bool find_begin(tick_moment &begin, int64_t limit_ns) noexcept {
    if (!is_recording.load(std::memory_order_relaxed))
        return false;
    if (limit_ns < 0)
        session_lock.lock();
    else if (!session_lock.lock_within(limit_ns))
        return false;
    begin = began;
    session_lock.unlock();
    return true;
}

void hold() noexcept { session_lock.hold(); }
void release_hold() noexcept { session_lock.release_hold(); }

void restart() noexcept {
    thread *me = this_thread.record();
    const bool is_on = is_recording.load(std::memory_order_relaxed);
    if (session_lock.restart()) {
        // A thread that is not in the child was changing the trace. What it had is left alone.
        is_recording.store(false, std::memory_order_relaxed);
        current_session.rings.store(nullptr, std::memory_order_relaxed);
        current_session.infos = nullptr;
        current_session.slots = 0;
        if (me)
            me->ring.store(nullptr, std::memory_order_relaxed);
        return;
    }
    if (!is_on)
        return discard_locked();
    if (me) {
        me->ring.store(nullptr, std::memory_order_relaxed);
        me->since.store(0, std::memory_order_relaxed);
    }
    free_rings();
    current_session.threads.store(0, std::memory_order_relaxed);
    current_session.lost.store(0, std::memory_order_relaxed);
    began = tick_moment_now();
    if (me)
        note(kind::forked, 0, 0, static_cast<uint64_t>(own_process_id()));
}

} // namespace pyattach::trace
