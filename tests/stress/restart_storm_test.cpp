// Python ends and starts again, over and over, while eight native threads live through all of it: warm, in detached
// scopes, with references of earlier lives in hand.
//
// 8 lives here; with PYATTACH_TEST_FULL=1 in the environment 100.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstdio>
#include <memory>
#include <random>
#include <sched.h>
#include <vector>

#include "api/thread_states.hpp"
#include "stress/resident.hpp"

using namespace support;

namespace {

constexpr int natives = 8;
std::atomic<bool> is_over{false};
std::atomic<long> attaches{0}, refusals{0}, inert_gaps{0}, old_drops{0};

std::string name_of(pyattach_interpreter *handle) { return std::to_string(reinterpret_cast<std::uintptr_t>(handle)); }

// Never knows which life it is in but by the handle, which no two lives share.
void live_through_all(unsigned seed) {
    std::minstd_rand random(seed);
    ref old;
    pyattach_interpreter *whose_old = nullptr;
    while (!is_over) {
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_begin(&scope);
        if (status != PYATTACH_OK) {
            EXPECT(status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED);
            ++refusals;
            sched_yield();
            continue;
        }
        ++attaches;
        pyattach_interpreter *here = pyattach_interpreter_current();
        EXPECT(here);
        try {
            if (whose_old && whose_old != here && old.get()) {
                // Of an earlier life: its memory may be something else's by now.
                pyattach_decref_in(whose_old, old.release());
                ++old_drops;
            }
            if (!old.get()) {
                old = new_object();
                whose_old = here;
            }
            // Set by this thread or another one in this life, or by nobody.
            run("import sys; sys.life = getattr(sys, 'life', '" + name_of(here) + "')");
            EXPECT(eval_text("__import__('sys').life") == name_of(here));
        } catch (...) {
            pyattach_attached_end(&scope);
            throw;
        }
        if (random() % 3 == 0) {
            pyattach_detached gap;
            EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
            if (whose_old == here)
                pyattach_decref_in(here, old.release());
            for (int i = 0; i < 50; ++i)
                sched_yield();
            if (pyattach_detached_end(&gap) != PYATTACH_OK)
                ++inert_gaps;
        }
        pyattach_attached_end(&scope);
    }
    old.release(); // no life to give it back to
}

} // namespace

CHILD("a storm of restarts") {
    int lives = std::stoi(child_arguments().at(0));
    std::vector<std::unique_ptr<task>> tasks;
    std::int64_t before = 0;
    for (int life = 0; life < lives; ++life) {
        start_python();
        if (life == 0)
            for (int i = 0; i < natives; ++i)
                tasks.push_back(
                    std::make_unique<task>("a native thread to end", [i] { live_through_all(4321u + unsigned(i)); }));
        long seen = attaches;
        wait_until("the native threads to attach", [&] { return attaches > seen + 200; });
        const char *failed = stop_python();
        EXPECT_SENTENCE(!failed, std::string("Python did not end well: ") + (failed ? failed : ""));
        if (life == lives / 4)
            before = resident_bytes();
    }
    std::int64_t grown = resident_bytes() - before;
    is_over = true;
    for (auto &one : tasks)
        one->join();
    auto now = all_counters();
    std::printf("%d lives, %ld attaches, %ld refused, %ld gaps that ended in no life, %ld old references, %llu leaked, "
                "%lld bytes a life\n",
                lives, attaches.load(), refusals.load(), inert_gaps.load(), old_drops.load(),
                static_cast<unsigned long long>(now.drops_leaked),
                static_cast<long long>(grown / (lives - lives / 4)));
    std::fflush(stdout);
    EXPECT(old_drops > 0 && refusals > 0);
    EXPECT(now.drops_leaked >= static_cast<std::uint64_t>(old_drops.load()));
    EXPECT(now.exit_timeouts == 0);
    EXPECT(now.states_dead == 0);
}

TEST_CASE("native threads live through one life of Python after the other") {
    child_options options{{is_full_run() ? "100" : "8"}};
    options.deadline = std::chrono::seconds(is_full_run() ? 3000 : 120);
    child_result result = run_child("a storm of restarts", options);
    std::fputs(result.output.c_str(), stdout);
    check_succeeds(result);
}
