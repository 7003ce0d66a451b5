// Dump: the trace is written to where its options say.
#include "trace/dump.hpp"

#include <algorithm>
#include <cstring>

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/kept_errno.hpp"
#include "platform/native_thread.hpp"
#include "platform/signal.hpp"
#include "trace/write.hpp"

namespace pyattach::trace {
namespace {

// --- The file: one thread at a time writes it.

constexpr int64_t longest_wait_ns = 10000000000, longest_sleep_ns = 100000000;
// The native id of the thread that writes; 0: none does.
futex::word writer{0};

uint32_t own_number() noexcept { return std::max(static_cast<uint32_t>(own_native_id()), uint32_t{1}); }

// Waits until this thread writes no more, at most for some time. A child of a fork that this library was not told of,
// as before there is a Python, may find the number of a thread that it does not have.
void wait_for(uint32_t seen, int64_t limit_ns) noexcept {
    const kept_errno kept;
    futex::wait(writer, seen, std::min(limit_ns, longest_sleep_ns));
    if (has_ended(static_cast<pid_t>(seen)))
        writer.compare_exchange_strong(seen, 0, std::memory_order_acquire);
}

// False: another thread writes for too long, or the calling one does, in a message handler that was called meanwhile.
bool claim_file() noexcept {
    const uint32_t own = own_number();
    const int64_t until_ns = monotonic_ns() + longest_wait_ns;
    for (;;) {
        uint32_t seen = 0;
        if (writer.compare_exchange_strong(seen, own, std::memory_order_acquire))
            return true;
        const int64_t left_ns = until_ns - monotonic_ns();
        if (seen == own || left_ns <= 0)
            return false;
        wait_for(seen, left_ns);
    }
}

void release_file() noexcept {
    writer.store(0, std::memory_order_release);
    futex::wake(writer, futex::everyone);
}

// After the trace has stopped. A thread that has claimed the file before the fence is seen here. One that claims it
// later finds that no trace records (Dekker: see dump).
void wait_for_writer() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t own = own_number();
    for (uint32_t seen; (seen = writer.load(std::memory_order_acquire)) != 0 && seen != own;)
        wait_for(seen, longest_sleep_ns);
}

// --- The signal

// The word: whether there is a dumper, whether the signal has come since it looked last, and the dumper's number in the
// other bits. A dumper that finds another number, or that there is none, ends.
constexpr uint32_t is_ready = 1, is_asked = 2, one_number = 4;
futex::word word{0};

// Guards `taken`, and the changes of the word but those of is_asked.
internal_lock dumper_lock;
taken_signal taken;
std::atomic<int> signal_of_dumper{0};

// On any thread, between any two instructions: see the head of dump.hpp.
void on_signal(int) noexcept {
    uint32_t seen = word.load(std::memory_order_relaxed);
    while ((seen & is_ready) && !(seen & is_asked))
        if (word.compare_exchange_weak(seen, seen | is_asked, std::memory_order_release, std::memory_order_relaxed)) {
            futex::wake(word, futex::everyone);
            return;
        }
}

void *run_dumper(void *number) noexcept {
    const uint32_t ready = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(number)) | is_ready;
    name_own_thread("pyattach-trace");
    unblock_signal(signal_of_dumper.load(std::memory_order_relaxed));
    for (;;) {
        uint32_t seen = word.load(std::memory_order_acquire);
        if ((seen & ~is_asked) != ready)
            return nullptr;
        if (!(seen & is_asked))
            futex::wait(word, seen);
        else if (word.compare_exchange_strong(seen, ready, std::memory_order_acquire))
            dump();
    }
}

// The dumper ends by itself; it is not joined, because it may be the thread that stops the trace.
void end_dumper_locked() noexcept {
    const uint32_t seen = word.load(std::memory_order_relaxed);
    if (seen & is_ready) {
        word.store((seen & ~(is_ready | is_asked)) + one_number, std::memory_order_release);
        futex::wake(word, futex::everyone);
    }
    taken.give_back();
}

enum class problem { none, no_signal, no_thread };

problem begin_dumper_locked(int signal) noexcept {
    end_dumper_locked(); // which a stop on another thread may have left
    const uint32_t number = word.load(std::memory_order_relaxed);
    signal_of_dumper.store(signal, std::memory_order_relaxed);
    if (!taken.take(signal, on_signal))
        return problem::no_signal;
    word.store(number | is_ready, std::memory_order_release);
    if (start_helper(run_dumper, reinterpret_cast<void *>(static_cast<uintptr_t>(number))))
        return problem::none;
    end_dumper_locked();
    return problem::no_thread;
}

void end_dumper() noexcept {
    dumper_lock.lock();
    end_dumper_locked();
    dumper_lock.unlock();
}

// The trace has been started with this signal. If there can be no dumper it is stopped.
status begin_dumper(int signal) noexcept {
    static refusal_site no_signal, no_thread;
    dumper_lock.lock();
    const problem found = begin_dumper_locked(signal);
    dumper_lock.unlock();
    // Another thread may have stopped the trace before there was a dumper.
    if (found == problem::none && is_on())
        return PYATTACH_OK;
    end_dumper();
    if (found == problem::none)
        return PYATTACH_OK;
    (void)stop();
    if (found == problem::no_signal)
        return refused_with(PYATTACH_INVALID, no_signal,
                            "pyattach_trace_start: the system gives no handler to the signal %d of dump_signal. The "
                            "trace was not started. Choose another signal, such as SIGUSR1.",
                            signal);
    return refused(PYATTACH_NO_MEMORY, no_thread,
                   "pyattach_trace_start: the system starts no thread, which dump_signal needs, because a handler must "
                   "not write files. The trace was not started. End some threads, or leave dump_signal 0.");
}

} // namespace

status begin(const pyattach_trace_options *given) noexcept {
    set_misuse_hook(dump);
    const status outcome = start(given);
    if (outcome != PYATTACH_OK || !given)
        return outcome;
    pyattach_trace_options options = {};
    std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
    return options.dump_signal ? begin_dumper(options.dump_signal) : PYATTACH_OK;
}

status end() noexcept {
    const status outcome = stop();
    if (outcome == PYATTACH_OK) {
        end_dumper();
        wait_for_writer();
    }
    return outcome;
}

void dump() noexcept {
    const kept_errno kept;
    dump_target target;
    if (!claim_file())
        return;
    // A stop waits for this thread if it finds the claim. Else this thread finds that the trace has stopped.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (find_dump_target(target))
        (void)write_to_path(target.path, target.format);
    release_file();
}

void hold_dumper() noexcept { dumper_lock.hold(); }
void release_hold_on_dumper() noexcept { dumper_lock.release_hold(); }

void restart_dumper() noexcept {
    // Where another thread was changing the handler it is left as it is.
    if (dumper_lock.restart())
        taken = {};
    const uint32_t seen = word.load(std::memory_order_relaxed);
    word.store((seen & ~(is_ready | is_asked)) + one_number, std::memory_order_relaxed);
    writer.store(0, std::memory_order_relaxed);
}

} // namespace pyattach::trace
