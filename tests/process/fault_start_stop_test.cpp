// Loading, starting and finalizing Python, with each external call of the library failing in turn.
#include "support/tstate_counts.hpp"
#include "fault_fork.hpp"
#include "support/plain_python.hpp"
#include "support/host.hpp"

using namespace support;
using faults::check_sweep;
using faults::for_each_failure;
using faults::how_long;
using faults::is_over;
using faults::lasting;
using faults::names_of;
using faults::of;

namespace {

int called;
void count_call(pyattach_interpreter *, void *) { ++called; }

} // namespace

CHILD("failing load") {
    for_each_failure(how_long(), [](int before, lasting lasts) {
        messages said;
        faults::arm(before, of::all, lasts);
        pyattach_status status = pyattach_python_load(libpython().c_str());
        const char *failed = faults::disarm();
        EXPECT_SENTENCE(status == PYATTACH_OK || status == PYATTACH_NO_PYTHON || status == PYATTACH_UNSUPPORTED ||
                            status == PYATTACH_NO_MEMORY,
                        pyattach_status_message(status));
        // The message says why, also if only one function is missing.
        const bool is_well = said.text().empty() || said.text().find("made global") != std::string::npos;
        EXPECT_SENTENCE((status == PYATTACH_OK) == is_well, said.text());
        EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
        // An optional function is missing from then on, and all works without it; except the mark of a debug build,
        // whose assertions need other calls.
        const bool is_recognised = libpython().find("d.so") == std::string::npos || is_debug_build();
        if (before % 10 == 0 && is_recognised) {
            start_python();
            EXPECT(run_on_thread(try_to_attach) == PYATTACH_OK);
            EXPECT(stop_python() == nullptr);
        }
        return failed;
    });
}
TEST_CASE("loading while the dynamic linker fails reports what is missing, and works later") {
    check_sweep("failing load", {"dlopen", "dlsym"});
    check_sweep("failing load", {"dlopen", "dlsym"}, "from then on");
}

CHILD("failing start") {
    load_python();
    for_each_failure(how_long(), [](int before, lasting lasts) {
        messages said;
        pyattach_start_options options{};
        options.struct_size = sizeof options;
        options.program_name = python_executable().c_str();
        faults::arm(before, of::all, lasts);
        pyattach_status status = pyattach_interpreter_start_with(&options);
        const char *failed = faults::disarm();
        EXPECT_SENTENCE(status == PYATTACH_OK || status == PYATTACH_NO_MEMORY || status == PYATTACH_NOT_INITIALIZED,
                        pyattach_status_message(status));
        EXPECT_SENTENCE((status == PYATTACH_NOT_INITIALIZED) == !said.text().empty(), said.text());
        EXPECT(!cpython_says_attached());
        EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
        {
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
            EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), count_call, nullptr) == PYATTACH_OK);
        }
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
        EXPECT(called == 1);
        return failed;
    });
}
TEST_CASE("a start in which any dependency fails reports why, and works later") {
    check_sweep("failing start", {"decode_locale", "config_start", "calloc", "malloc"});
    names_of("failing start", "from then on");
}

// Before the stop a thread blocks inside the gate, and tstates of ended threads and references wait for deletion.
void failing_stop(long long timeout_ns, bool stays) {
    load_python();
    for_each_failure(how_long(), [=](int before, lasting lasts) {
        start_python();
        pyattach_set_exit_timeout(timeout_ns);
        for (int i = 0; i < 3; ++i)
            run_on_thread([] { attached here; });
        {
            attached here;
            ref object = eval("['given back']");
            forbidden traverse;
            object.drop();
        }
        latch is_inside("the thread that stays to be inside");
        task inside("the thread that stays to end", [&] {
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
            pyattach_detached gap;
            EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
            is_inside.count_down();
            // Re-attaches while the exit waits for it, or after the time-out.
            if (stays)
                wait_until("Python to have ended", [] { return cpython<int()>("Py_IsInitialized")() == 0; });
            pyattach_status status = pyattach_detached_end(&gap);
            EXPECT(status == PYATTACH_FINALIZING || (!stays && status == PYATTACH_OK));
            pyattach_attached_end(&scope);
        });
        is_inside.wait();
        messages said;
        faults::arm(before, of::all, lasts);
        pyattach_status status = pyattach_interpreter_stop();
        const char *failed = faults::disarm();
        if (status == PYATTACH_NO_MEMORY)
            status = pyattach_interpreter_stop();
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
        EXPECT(cpython<int()>("Py_IsInitialized")() == 0);
        inside.join();
        EXPECT(run_on_thread(try_to_attach) == PYATTACH_NOT_INITIALIZED);
        return failed;
    });
}
CHILD("failing stop") { failing_stop(-1, false); }
CHILD("failing stop that gives up") { failing_stop(0, true); }
TEST_CASE("a finalization in which any dependency fails completes, and no thread attaches afterwards") {
    check_sweep("failing stop", {"membarrier"});
    names_of("failing stop", "from then on");
    check_sweep("failing stop that gives up", {"membarrier"});
}

CHILD("failing stop that times out") {
    load_python();
    for_each_failure(how_long(), [](int before, lasting lasts) {
        start_python();
        pyattach_set_exit_timeout(0);
        latch is_inside("the thread that stays to be inside");
        static latch may_end("permission to end");
        task inside("the thread that stays to end", [&] {
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
            {
                // The gate counts the thread as inside and attached.
                foreign_detach gap;
                is_inside.count_down();
                may_end.wait();
                _exit(98); // coming back would end the thread
            }
        });
        is_inside.wait();
        messages said;
        faults::arm(before, of::all, lasts);
        pyattach_status status = pyattach_interpreter_stop();
        const char *failed = faults::disarm();
        EXPECT_SENTENCE(status == PYATTACH_TIMED_OUT, pyattach_status_message(status));
        EXPECT_SENTENCE(said.text().find("still inside") != std::string::npos, said.text());
        if (failed)
            std::printf("failed: %s\n", failed);
        std::fflush(nullptr);
        _exit(failed ? 0 : is_over); // with the thread
        return failed;
    });
}
TEST_CASE("an exit that times out names the threads inside, whatever fails") {
    check_sweep("failing stop that times out", {"open", "error_warn", "membarrier"});
}

CHILD("a thread that was refused stays") {
    load_python();
    for_each_failure(how_long(), [](int before, lasting lasts) {
        start_python();
        pyattach_set_exit_timeout(0); // who is inside would be told of at once
        latch was_refused("the thread to be refused"), has_ended("Python to have ended");
        const char *failed = nullptr;
        task thread("the thread that was refused to end", [&] {
            faults::arm(before, of::all, lasts);
            (void)try_to_attach();
            failed = faults::disarm();
            was_refused.count_down();
            has_ended.wait();
        });
        was_refused.wait();
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
        has_ended.count_down();
        thread.join();
        return failed;
    });
}
TEST_CASE("a thread whose attach failed is not inside the gate: no exit waits for it") {
    check_sweep("a thread that was refused stays", {"calloc", "tstate_new"});
}

CHILD("an end without memory on a thread unknown to the library") {
    start_as_host();
    void *state = plain::python().save();
    unrecycled_threads others; // or there would be a record of an ended thread's
    others.run([] {
        ref waiting;
        {
            attached here;
            waiting = new_object();
        }
        waiting.drop();
    });
    EXPECT(pyattach_pool_size() == 1);
    faults::arm(0, of::memory, faults::lasting::from_then_on);
    const pyattach_status refused = pyattach_interpreter_stop();
    plain::python().restore(state);
    const int outcome = plain::python().finalize();
    faults::disarm();
    EXPECT(refused == PYATTACH_NO_MEMORY);
    EXPECT(outcome == 0);
    EXPECT(all_counters().drops_leaked == 1);
}
TEST_CASE("a finalization without memory leaks the queued references, and counts them") {
    check_succeeds("an end without memory on a thread unknown to the library");
}
