// The trace: what it records of threads, interpreters and locks, and what becomes of bad input.
#include "support/trace.hpp"
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"
#include "support/waiting_thread.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

using namespace support;

namespace {

void name_thread(const char *name) { EXPECT(pthread_setname_np(pthread_self(), name) == 0); }

// Runs `function` on a thread with this name.
void run_named(const char *name, const std::function<void()> &function) {
    run_on_thread([&] {
        name_thread(name);
        function();
    });
}

} // namespace

TEST_CASE("a thread's track has its waits, attaches and detached scopes, in order") {
    start_python();
    trace recording;
    run_named("worker", [] {
        attached here;
        detached gap;
    });
    attached here;
    recording.read();
    CHECK(eval_text("str(states('worker'))") == "['waiting', 'attached', 'detached', 'waiting', 'attached']");
    CHECK(eval_true("all(b[3] >= a[4] - 0.001 for name in ['worker'] for s in [[s for s in slices if threads[s[0]] == "
                    "name and kinds[s[0]] == 'thread']] for a, b in zip(s, s[1:]))"));
    CHECK(eval_true("any(s[2] == 'attached for the first time' for s in slices)"));
    CHECK(eval_int("lost") == 0);
}

TEST_CASE("a thread that waited has an arrow from the thread that held Python until then") {
    start_python();
    trace recording;
    run_named("holder", [] {
        attached here;
        waiting_thread waiting;
        detached gap;
        waiting.join();
    });
    attached here;
    recording.read();
    CHECK(eval_true("('holder', 'api') in arrows or any(a == 'holder' for a, b in arrows)") == !is_free_threaded());
    CHECK(eval_true("any(kind == 'holder' for kind in kinds.values())") == !is_free_threaded());
    if (!is_free_threaded()) {
        CHECK(eval_true("any(s[1] == 'waiting' and s[5] == 'holder' for s in slices)"));
        CHECK(eval_true("any(s[1] == 'holds' and s[2] == 'holder' for s in slices)"));
        CHECK(eval_int("max(counts['waiting threads (main interpreter)'])") >= 1);
    }
}

TEST_CASE("a scope's label is in the name of its slice, complete") {
    start_python();
    trace recording;
    run_named("labelled",
              [] { attached_with here{attach_options(false, "decode a frame of the second camera <&\"")}; });
    attached here;
    recording.read();
    CHECK(eval_true("any(s[2] == 'attached: decode a frame of the second camera <&\"' for s in slices)"));
}

TEST_CASE("a refusal is marked with its reason") {
    start_python();
    trace recording;
    {
        attached here;
        forbidden traverse;
        CHECK(try_to_attach() == PYATTACH_FORBIDDEN);
    }
    attached here;
    recording.read();
    CHECK(eval_true("any(name.startswith('refused: ') for thread, name in marks)"));
}

TEST_CASE("a wait for a mutex has a slice, and an arrow from the thread that released the mutex") {
    start_python();
    trace recording;
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    run_named("owner", [&] {
        pyattach_mutex_lock(&mutex);
        task waiting("the mutex", [&] {
            name_thread("second");
            attached here;
            pyattach_mutex_lock(&mutex);
            pyattach_mutex_unlock(&mutex);
        });
        waiting.wait_until_asleep();
        { attached here; }
        pyattach_mutex_unlock(&mutex);
        waiting.join();
    });
    attached here;
    recording.read();
    CHECK(eval_true("any(s[2].startswith('waits for mutex 0x') and threads[s[0]] == 'second' and s[5] == 'owner' "
                    "for s in slices)"));
    CHECK(eval_true("('owner', 'second') in arrows"));
    CHECK(eval_true("any(kinds[s[0]] == 'lock' and s[2] == 'second' for s in slices)"));
}

TEST_CASE("a drain is a slice with the number of references, and counts the pool") {
    start_python();
    pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
    trace recording;
    attached here;
    object *dropped = new_object().release();
    {
        detached gap;
        run_on_thread([&] { pyattach_decref(dropped); });
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    recording.read();
    CHECK(eval_true("any(s[2] == 'drain: 1 references' for s in slices)"));
    CHECK(eval_true("counts['references that wait in the pool'][:2] == [1, 0]"));
    pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_AUTO);
}

TEST_CASE("threads that are attached, detached or idle when a trace starts are recorded from their next call on") {
    start_python();
    latch ready("the threads to begin", 2), started("the trace to start");
    task idle("the idle thread", [&] {
        name_thread("idle");
        { attached warm; }
        ready.arrive_and_wait();
        started.wait();
        attached here;
    });
    task inside("the detached thread", [&] {
        name_thread("inside");
        attached here;
        detached gap;
        ready.arrive_and_wait();
        started.wait();
    });
    ready.wait();
    trace recording;
    started.count_down();
    idle.join();
    inside.join();
    attached here;
    recording.read();
    CHECK(eval_text("str(states('idle'))") == "['waiting', 'attached']");
    CHECK(eval_text("str(states('inside'))") == "['waiting', 'attached']");
}

TEST_CASE("after a stop nothing is recorded, and what was recorded stays until the next start") {
    start_python();
    trace recording;
    run_named("before", [] { attached here; });
    recording.stop();
    run_named("after", [] { attached here; });
    attached here;
    recording.read();
    CHECK(eval_true("'before' in threads.values() and 'after' not in threads.values()"));
    trace again;
    again.read();
    CHECK(eval_true("'before' not in threads.values()"));
}

TEST_CASE("a ring keeps the newest records, or the oldest, and counts the others") {
    start_python();
    for (bool keep_oldest : {false, true}) {
        trace recording(64, keep_oldest);
        run_named("busy", [] {
            attached here;
            for (int i = 0; i < 100; ++i)
                detached gap;
            { attached_with last{attach_options(false, "nested")}; }
        });
        attached here;
        recording.read();
        CHECK(eval_int("lost") > 200);
        CHECK(eval_int("len(states('busy'))") <= 64);
        CHECK(eval_int("len(states('busy'))") > 50);
        // The first record of all is that of the wait for the first attach.
        CHECK(eval_true("any(s[2] == 'attached for the first time' and threads[s[0]] == 'busy' for s in slices)") ==
              keep_oldest);
    }
}

TEST_CASE("a thread that ends leaves its ring to a later one, and each has a track of its own") {
    start_python();
    trace recording;
    for (int i = 0; i < 50; ++i)
        run_named(("short " + std::to_string(i)).c_str(), [] { attached here; });
    attached here;
    recording.read();
    CHECK(eval_true("all('short %d' % i in threads.values() for i in range(50))"));
    CHECK(eval_true("all(states('short %d' % i) == ['waiting', 'attached'] for i in range(50))"));
}

TEST_CASE("a second start and a second stop are refused, and change nothing") {
    start_python();
    CHECK(pyattach_trace_stop() == PYATTACH_INVALID);
    trace recording;
    run_named("kept", [] { attached here; });
    CHECK(pyattach_trace_start(nullptr) == PYATTACH_INVALID);
    attached here;
    recording.read();
    CHECK(eval_true("'kept' in threads.values()"));
    recording.stop();
    CHECK(pyattach_trace_stop() == PYATTACH_INVALID);
}

TEST_CASE("options that cannot be meant are refused, and a trace that was recorded is kept") {
    start_python();
    trace recording;
    run_named("kept", [] { attached here; });
    recording.stop();
    pyattach_trace_options options = {};
    CHECK(pyattach_trace_start(&options) == PYATTACH_INVALID); // no size
    options.struct_size = sizeof options;
    options.dump_format = static_cast<pyattach_trace_format>(7);
    CHECK(pyattach_trace_start(&options) == PYATTACH_INVALID);
    options.dump_format = PYATTACH_TRACE_CHROME;
    for (size_t too_many : {size_t{1} << 50, SIZE_MAX}) {
        options.events_per_thread = too_many;
        CHECK(pyattach_trace_start(&options) == PYATTACH_NO_MEMORY);
    }
    attached here;
    recording.read();
    CHECK(eval_true("'kept' in threads.values()"));
}

TEST_CASE("a file that cannot be written is refused with its reason, and nothing is lost") {
    start_python();
    trace recording;
    run_named("kept", [] { attached here; });
    std::string message;
    pyattach_set_message_handler([](const char *text, void *to) { *static_cast<std::string *>(to) = text; }, &message);
    errno = 0;
    CHECK(pyattach_trace_write("/no/such/folder/trace.json", PYATTACH_TRACE_CHROME) == PYATTACH_INVALID);
    CHECK(errno == ENOENT);
    CHECK(message.find("/no/such/folder/trace.json cannot be written: No such file or directory") != std::string::npos);
    CHECK(pyattach_trace_write(nullptr, PYATTACH_TRACE_CHROME) == PYATTACH_INVALID);
    CHECK(pyattach_trace_write("/tmp/never-made", static_cast<pyattach_trace_format>(9)) == PYATTACH_INVALID);
    CHECK(message.find("there is no format 9") != std::string::npos);
    CHECK(pyattach_trace_write_fd(-1, PYATTACH_TRACE_CHROME) == PYATTACH_INVALID);
    if (const int full = open("/dev/full", O_WRONLY | O_CLOEXEC); full >= 0) {
        for (int format = PYATTACH_TRACE_CHROME; format <= PYATTACH_TRACE_HTML; ++format) {
            errno = 0;
            CHECK(pyattach_trace_write_fd(full, static_cast<pyattach_trace_format>(format)) == PYATTACH_INVALID);
            CHECK(errno == ENOSPC);
        }
        close(full);
    }
    pyattach_set_message_handler(nullptr, nullptr);
    attached here;
    recording.read();
    CHECK(eval_true("'kept' in threads.values()"));
}

TEST_CASE("errno is kept where a trace is written") {
    start_python();
    trace recording;
    temporary_folder folder;
    errno = 77;
    CHECK(pyattach_trace_write((folder.path + "/kept").c_str(), PYATTACH_TRACE_PERFETTO) == PYATTACH_OK);
    CHECK(errno == 77);
}
