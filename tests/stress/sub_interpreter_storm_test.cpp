// Sub-interpreters that are made and ended while eight native threads go in and out of all of them, nested either way.
//
// 12 of each kind here; with PYATTACH_TEST_FULL=1 in the environment 1,000.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/resident_memory.hpp"

using namespace support;

namespace {

constexpr int visitors = 8;
constexpr int at_once = 3;

// Handles to which the visitors may attach: of interpreters that run, or have just ended.
class map_of_places {
  public:
    void add(pyattach_interpreter *handle, int mark) {
        std::lock_guard<std::mutex> hold(lock_);
        places_[next_++ % places_.size()] = {handle, mark};
    }
    std::pair<pyattach_interpreter *, int> any(std::minstd_rand &random) const {
        std::lock_guard<std::mutex> hold(lock_);
        return places_[random() % places_.size()];
    }

  private:
    mutable std::mutex lock_;
    std::array<std::pair<pyattach_interpreter *, int>, at_once + 2> places_{};
    size_t next_ = 0;
};

map_of_places places;
std::atomic<bool> is_over{false};
std::atomic<long> visits{0}, refusals{0}, nested_visits{0};

// References that a visitor leaves behind must be released in their own interpreter.
void furnish(int mark) {
    run("import sys\n"
        "sys.mark, sys.strays = " +
        std::to_string(mark) +
        ", 0\n"
        "class Native:\n"
        "    def __init__(self): self.mark = sys.mark\n"
        "    def __del__(self):\n"
        "        here = __import__('sys')\n"
        "        if here.mark != self.mark: here.strays += 1\n");
}

void expect_here(pyattach_interpreter *interp, int mark) {
    EXPECT(pyattach_interpreter_current() == interp);
    EXPECT(eval_int("__import__('sys').mark") == mark);
    EXPECT(eval_int("__import__('sys').strays") == 0);
}

// A scope that may be refused.
struct entered {
    pyattach_attached scope;
    pyattach_status status;
    explicit entered(pyattach_interpreter *interp)
        : status(interp ? pyattach_attached_begin_in(&scope, interp) : PYATTACH_FINALIZING) {}
    entered(const entered &) = delete;
    entered &operator=(const entered &) = delete;
    ~entered() { end(); }
    void end() {
        if (std::exchange(status, PYATTACH_FINALIZING) == PYATTACH_OK)
            pyattach_attached_end(&scope);
    }
};

// Into one, and from there into another or the same one again; depth at most three.
void visit(std::minstd_rand &random, int depth) {
    auto [interp, mark] = places.any(random);
    void *slot_before = gilstate_tstate(), *current_before = current_tstate();
    entered scope(interp);
    if (scope.status != PYATTACH_OK) {
        EXPECT(scope.status == PYATTACH_FINALIZING);
        ++refusals;
        return;
    }
    ++visits;
    expect_here(interp, mark);
    ref reference = eval("Native()"), other = eval("Native()"), third = eval("Native()");
    reference.drop();
    if (depth < 3 && random() % 2) {
        nested_visits += depth > 1;
        visit(random, depth + 1);
        expect_here(interp, mark);
    }
    bool is_inert = false;
    if (random() % 2) {
        detached gap;
        other.drop();
        if (depth < 3 && random() % 2)
            visit(random, depth + 1);
        is_inert = gap.end() != PYATTACH_OK;
    }
    pyattach_decref_in(interp, third.release());
    if (is_inert) {
        pyattach_decref_in(interp, other.release());
        return;
    }
    expect_here(interp, mark);
    other.drop();
    scope.end();
    // It may be of an interpreter that has begun to end, to which no thread may attach any more.
    EXPECT(gilstate_tstate() == slot_before || !slot_before || !gilstate_tstate());
    EXPECT(!sees_switches() || current_tstate() == current_before);
}

void visit_till_the_end(unsigned seed) {
    std::minstd_rand random(seed);
    while (!is_over) {
        visit(random, 1);
        attached home;
        EXPECT(eval_int("__import__('sys').mark") == 0);
        home.end();
        // Else eight threads that want the GIL all the time keep the one from it that makes and ends interpreters.
        // Where the GIL is off, making and ending states is what takes its time (some ms in a busy process).
        std::this_thread::sleep_for(std::chrono::microseconds(is_free_threaded() ? 20000 : 500));
    }
}

void storm(sub_interpreter::kind kind, int rounds) {
    start_python();
    {
        attached here;
        furnish(0);
        places.add(pyattach_interpreter_main(), 0);
    }
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < visitors; ++i)
        tasks.push_back(std::make_unique<task>("a visitor to end", [i] { visit_till_the_end(1234u + unsigned(i)); }));
    std::int64_t before = 0;
    {
        std::array<std::unique_ptr<sub_interpreter>, at_once> all;
        for (int i = 0; i < rounds; ++i) {
            attached here;
            auto &place = all[size_t(i) % all.size()];
            if (place)
                place->end();
            place = std::make_unique<sub_interpreter>(kind);
            {
                pyattach_interpreter *handle = place->handle();
                attached inside(handle);
                furnish(i + 1);
                places.add(handle, i + 1);
            }
            here.end();
            for (long seen = visits; visits < seen + 8 && !is_over;)
                sched_yield();
            if (i == rounds / 4)
                before = resident_bytes();
        }
        attached here;
        for (auto &place : all)
            place->end();
    }
    is_over = true;
    for (auto &thread : tasks)
        thread->join();
    // How much of it is CPython's is what restart_memory_test.cpp is about.
    std::int64_t grown = resident_bytes() - before;
    EXPECT(visits > rounds && refusals > 0 && nested_visits > 0);
    {
        attached here;
        expect_here(pyattach_interpreter_main(), 0);
    }
    int counted = rounds - rounds / 4 - 1;
    std::printf("%d interpreters, %ld visits, %ld refused, %lld bytes each, %llu states waiting, %llu leaked\n", rounds,
                visits.load(), refusals.load(), static_cast<long long>(grown / counted),
                static_cast<unsigned long long>(all_counters().states_dead),
                static_cast<unsigned long long>(all_counters().drops_leaked));
    std::fflush(stdout);
    EXPECT(!stop_python());
}

int number_of_interpreters() { return is_full_run() ? 1000 : 12; }

} // namespace

CHILD("a storm of legacy sub-interpreters") { storm(sub_interpreter::legacy, std::stoi(child_arguments().at(0))); }
CHILD("a storm of sub-interpreters with GILs of their own") {
    storm(sub_interpreter::own_gil, std::stoi(child_arguments().at(0)));
}

namespace {

void check_storm(const char *name) {
    child_options options{{std::to_string(number_of_interpreters())}};
    options.deadline = std::chrono::seconds(is_full_run() ? 3000 : 120);
    child_result result = run_child(name, options);
    std::fputs(result.output.c_str(), stdout);
    check_succeeds(result);
}

} // namespace

TEST_CASE("sub-interpreters are made and ended while native threads attach to all of them") {
    load_python();
    if (makes_them_beside_threads())
        check_storm("a storm of legacy sub-interpreters");
}

TEST_CASE("sub-interpreters with their own GILs are made and ended while native threads attach to all of them") {
    load_python();
    if (has_own_gils() && makes_them_beside_threads())
        check_storm("a storm of sub-interpreters with GILs of their own");
}
