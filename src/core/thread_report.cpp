// Thread report: what each thread does, as lines of text.
#include "core/thread_report.hpp"

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "base/text_line.hpp"
#include "core/interpreter.hpp"
#include "core/thread_list.hpp"
#include "platform/file.hpp"
#include "platform/kept_errno.hpp"
#include "platform/native_thread.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach {
namespace {

// How long a lock is waited for. If the thread that a signal handler has interrupted holds it, the wait is in vain.
constexpr int64_t patience_ns = 100000000;

// What has been read of the threads, because a line must not be written while the lists are locked: a descriptor may
// block for ever. Not on the stack, which may be a small one of a signal handler's. Pages of it that are never written
// take no memory.
constexpr size_t most = 1024;
struct {
    listed_thread threads[most];
    size_t count; // of all threads
} listed;
internal_lock listed_lock; // only ever locked with a limit

constexpr pyattach_thread_state order[] = {PYATTACH_THREAD_IS_ATTACHED, PYATTACH_THREAD_IS_WAITING,
                                           PYATTACH_THREAD_IS_DETACHED, PYATTACH_THREAD_IS_IDLE};
constexpr const char *words[] = {"idle", "waiting", "attached", "detached"}; // by the value of the state

bool read_all() noexcept {
    listed.count = 0;
    return for_each_thread(
        patience_ns,
        [](const listed_thread &thread, void *) noexcept {
            if (listed.count < most)
                listed.threads[listed.count] = thread;
            ++listed.count;
        },
        nullptr);
}

void describe(const listed_thread &thread, const since_clock &clock, text_line &line) noexcept {
    char name[32];
    name_of(thread.native_id, name);
    line << "  thread " << static_cast<uint64_t>(thread.native_id) << " (" << name << "): " << words[thread.state];
    if (thread.by_other_code)
        line << " by other code inside its scope";
    if (thread.interp && thread.interp == main_interpreter())
        line << ", main interpreter";
    else if (thread.interp)
        (line << ", interpreter ").hex(reinterpret_cast<uintptr_t>(thread.interp));
    if (thread.label[0])
        line << ", \"" << thread.label << "\"";
    if (const int64_t since_ns = clock.ns(thread.since); since_ns && since_ns <= clock.now_ns())
        line << ", for " << static_cast<uint64_t>(clock.now_ns() - since_ns) / 1000000 << " ms";
    line << "\n";
}

} // namespace

void report_threads(void (*put)(const char *line, size_t length, void *arg) noexcept, void *arg) noexcept {
    char storage[256];
    text_line line(storage);
    if (!listed_lock.lock_within(patience_ns)) {
        line << "pyattach: another report is being written.\n";
        return put(line.text(), line.length(), arg);
    }
    const bool is_complete = read_all();
    const size_t count = listed.count < most ? listed.count : most;
    size_t counts[4] = {};
    for (size_t i = 0; i < count; ++i)
        ++counts[listed.threads[i].state];
    line << "pyattach: " << listed.count << (listed.count == 1 ? " thread" : " threads");
    for (size_t i = 0; i < 4; ++i)
        line << (i ? ", " : "; ") << counts[order[i]] << " " << words[order[i]];
    line << (is_complete ? "\n" : "; there are more, but the list is being changed just now\n");
    put(line.text(), line.length(), arg);
    const since_clock clock(patience_ns);
    for (const pyattach_thread_state state : order)
        for (size_t i = 0; i < count; ++i)
            if (listed.threads[i].state == state) {
                text_line of_thread(storage);
                describe(listed.threads[i], clock, of_thread);
                put(of_thread.text(), of_thread.length(), arg);
            }
    if (listed.count > count) {
        text_line rest(storage);
        rest << "  and " << listed.count - count << " more\n";
        put(rest.text(), rest.length(), arg);
    }
    listed_lock.unlock();
}

void report_threads_to(int descriptor) noexcept {
    const kept_errno kept;
    // A thread that is cancelled or ended in a write would leave the report locked.
    uncancelled no_cancel;
    report_threads([](const char *line, size_t length,
                      void *arg) noexcept { write_all(*static_cast<const int *>(arg), line, length); },
                   &descriptor);
}

void report_threads_to_handler(const char *sentence) noexcept {
    static constexpr const char rest[] = "  and more";
    char storage[4096];
    struct {
        text_line text;
        bool is_full;
    } message = {text_line(storage), false};
    message.text << sentence << "\n";
    report_threads(
        [](const char *line, size_t length, void *arg) noexcept {
            auto &to = *static_cast<decltype(message) *>(arg);
            if (!to.is_full && length + sizeof rest > to.text.left())
                to.is_full = true, to.text << rest;
            else if (!to.is_full)
                to.text << line;
        },
        &message);
    report_whole(message.text.text());
}

void restart_thread_report() noexcept { listed_lock.restart(); }

} // namespace pyattach
