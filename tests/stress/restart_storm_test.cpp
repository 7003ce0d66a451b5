// Python is restarted repeatedly while eight native threads keep running: with warm tstates, in detached scopes, with
// references of earlier generations held and queued.
//
// 8 restarts; with PYATTACH_TEST_FULL=1 in the environment 100.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstdio>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/resident_memory.hpp"

using namespace support;

namespace {

constexpr int natives = 8;
std::atomic<bool> is_over{false}, wants_long_gap{false}, is_in_long_gap{false};
std::atomic<int> lives_ended{0};
std::atomic<long> attaches{0}, first_attaches{0}, refusals{0}, inert_gaps{0}, old_drops{0}, drops{0};

void pause(unsigned microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

std::string name_of(pyattach_interpreter *handle) { return std::to_string(reinterpret_cast<std::uintptr_t>(handle)); }

// Tells generations apart by the interpreter's handle alone, which no two generations share.
class native {
  public:
    explicit native(int number) : number_(number), random_(4321u + unsigned(number)) {}

    void live() {
        while (!is_over) {
            pyattach_attached scope;
            pyattach_status status = pyattach_attached_begin(&scope);
            if (status != PYATTACH_OK) {
                EXPECT(status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED);
                ++refusals;
                pause(200);
                continue;
            }
            ++attaches;
            try {
                look_around();
                if (number_ == 0 && wants_long_gap.exchange(false))
                    stay_away_until_the_end();
                else if (random_() % 3 == 0)
                    stay_away();
            } catch (...) {
                pyattach_attached_end(&scope);
                throw;
            }
            pyattach_attached_end(&scope);
            drops += queued_.get() != nullptr;
            pyattach_decref_in(here_, queued_.release());
            pause(random_() % 200);
        }
        old_.release(); // there is no life to give it back to
    }

  private:
    void look_around() {
        here_ = pyattach_interpreter_current();
        EXPECT(here_);
        // Set by the first thread in this generation.
        run("import sys; sys.life = getattr(sys, 'life', '" + name_of(here_) + "')");
        EXPECT(eval_text("__import__('sys').life") == name_of(here_));
        if (whose_old_ != here_) {
            if (old_.get()) {
                // Of an earlier generation: its memory may be in other use.
                pyattach_decref_in(whose_old_, old_.release());
                ++old_drops;
            }
            old_ = new_object();
            may_leak(old_);
            whose_old_ = here_;
            ++first_attaches;
        }
        queued_ = new_object();
        may_leak(queued_);
    }

    void stay_away() {
        detached gap;
        ++drops;
        queued_.drop();
        pause(random_() % 300);
        inert_gaps += gap.end() != PYATTACH_OK;
    }

    // Longer than an exit waits for a detached thread.
    void stay_away_until_the_end() {
        int life = lives_ended;
        detached gap;
        is_in_long_gap = true;
        wait_until("the life to end", [&] {
            pause(1000);
            return lives_ended > life;
        });
        is_in_long_gap = false;
        EXPECT(gap.end() == PYATTACH_FINALIZING);
        ++inert_gaps;
    }

    int number_;
    std::minstd_rand random_;
    pyattach_interpreter *here_ = nullptr, *whose_old_ = nullptr;
    ref old_, queued_;
};

} // namespace

CHILD("a storm of restarts") {
    int lives = std::stoi(child_arguments().at(0));
    std::vector<std::unique_ptr<task>> tasks;
    std::int64_t before = 0;
    for (int life = 0; life < lives; ++life) {
        start_python();
        for (int i = 0; life == 0 && i < natives; ++i)
            tasks.push_back(std::make_unique<task>("a native thread to end", [i] { native(i).live(); }));
        wait_until("the native threads to attach", [&] {
            pause(1000);
            return first_attaches >= natives * (life + 1);
        });
        if (life % 8 == 6) {
            wants_long_gap = true;
            wait_until("a thread to be in a detached scope", [] { return is_in_long_gap.load(); });
        }
        const char *failed = stop_python();
        EXPECT_SENTENCE(!failed, std::string("Python did not end well: ") + (failed ? failed : ""));
        ++lives_ended;
        if (life == lives / 4)
            before = resident_bytes();
    }
    std::int64_t grown = resident_bytes() - before;
    is_over = true;
    for (auto &thread : tasks)
        thread->join();
    auto counters = all_counters();
    std::printf("%d lives, %ld attaches, %ld refused, %ld gaps that outlived theirs, %ld old references, %llu leaked, "
                "%lld bytes a life\n",
                lives, attaches.load(), refusals.load(), inert_gaps.load(), old_drops.load(),
                static_cast<unsigned long long>(counters.drops_leaked),
                static_cast<long long>(grown / (lives - lives / 4)));
    std::fflush(stdout);
    EXPECT(old_drops == natives * (lives - 1));
    EXPECT(refusals > 0 && inert_gaps > 0);
    // Each reference is released once or leaked once, also between the last drain and the pool's end.
    EXPECT(counters.drops_released + counters.drops_leaked == static_cast<std::uint64_t>(old_drops + drops));
    EXPECT(counters.drops_leaked >= static_cast<std::uint64_t>(old_drops.load()));
    EXPECT(counters.exit_timeouts == 0);
    EXPECT(counters.states_dead == 0);
}

TEST_CASE("native threads live through repeated restarts of Python") {
    child_options options{{is_full_run() ? "100" : "8"}};
    options.deadline = std::chrono::seconds(is_full_run() ? 3000 : 120);
    child_result result = run_child("a storm of restarts", options);
    std::fputs(result.output.c_str(), stdout);
    check_succeeds(result);
}
