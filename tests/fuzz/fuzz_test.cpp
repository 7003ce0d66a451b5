// Random calls of the library on several threads, against a model of what each must answer; over several lives of
// Python, and between them.
//
//     PYATTACH_FUZZ_SEED=N     the seed; else a new one each time, which is printed if something fails
//     PYATTACH_FUZZ_STEPS=N    how many calls; PYATTACH_TEST_FULL=1: ten millions
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "fuzz/world.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/threads.hpp"

using namespace support;
using fuzz::machine;
using fuzz::seeded;
using fuzz::tally;
using fuzz::world;

namespace {

uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = std::getenv(name);
    return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}
uint64_t new_seed() {
    static const uint64_t seed = from_environment(
        "PYATTACH_FUZZ_SEED", static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
    return seed;
}
uint64_t steps_wanted() {
    const char *full = std::getenv("PYATTACH_TEST_FULL");
    return from_environment("PYATTACH_FUZZ_STEPS", full && *full == '1' ? 10000000 : 60000);
}

constexpr unsigned players = 3;
// Short enough for the others to wait for its end.
unsigned lives() { return static_cast<unsigned>(std::max<uint64_t>(4, steps_wanted() / 150000)); }

thread_local const machine *played = nullptr;

// CPython aborts without saying what was called.
void tell_trail(int number) {
    if (played)
        std::fprintf(stderr, "%s\n", played->trail().c_str());
    std::signal(number, SIG_DFL);
    std::raise(number);
}

// One life of Python, or the time between two, with the same threads in all of them.
void play(unsigned player, world &here, seeded &from, uint64_t steps, tally &sum) {
    machine mine(here, from);
    played = &mine;
    try {
        for (uint64_t i = 0; i < steps; ++i)
            mine.step();
        mine.settle();
    } catch (const failure &what) {
        // The other threads may wait for this one for ever.
        std::fprintf(stderr, "%s\nPYATTACH_FUZZ_SEED=%llu PYATTACH_FUZZ_STEPS=%llu, thread %u, %s\n", what.what(),
                     static_cast<unsigned long long>(new_seed()), static_cast<unsigned long long>(steps_wanted()),
                     player, mine.trail().c_str());
        std::fflush(nullptr);
        std::_Exit(70);
    }
    played = nullptr;
    fuzz::add(sum, mine.counted());
}

} // namespace

CHILD("random calls") {
    std::signal(SIGABRT, tell_trail);
    const uint64_t each = steps_wanted() / (players * lives());
    world here;
    tally all[players];
    barrier together("all players to come to the end of a life", players + 1);
    std::vector<std::unique_ptr<task>> tasks;
    for (unsigned player = 0; player < players; ++player)
        tasks.push_back(std::make_unique<task>("a player to end", [&, player] {
            seeded from(new_seed() * players + player);
            for (unsigned life = 0; life < lives(); ++life) {
                together.arrive_and_wait();
                play(player, here, from, each, all[player]);
                together.arrive_and_wait();
                together.arrive_and_wait();
                play(player, here, from, each / 20, all[player]); // Python has ended
                together.arrive_and_wait();
            }
        }));
    // How long it takes is left to the test that waits for this process.
    fuzz::loads(here);
    for (unsigned life = 0; life < lives(); ++life) {
        fuzz::starts(here);
        together.arrive_and_wait();
        together.arrive_and_wait();
        fuzz::ends(here);
        together.arrive_and_wait();
        together.arrive_and_wait();
    }
    for (auto &one : tasks)
        one->join();
    tally sum;
    for (const tally &one : all)
        fuzz::add(sum, one);
    fuzz::expect_counted(here, sum);
    std::printf("steps: %llu\n", static_cast<unsigned long long>(sum.steps));
}
TEST_CASE("random calls on several threads, over several restarts of Python, are each answered as the model says") {
    child_options options;
    options.environment = {{"PYATTACH_FUZZ_SEED", std::to_string(new_seed())}};
    options.deadline = std::chrono::seconds(7200);
    child_result result = run_child("random calls", options);
    INFO(result.describe());
    REQUIRE(result.exit_code == 0);
    CHECK(result.output.find("steps: ") != std::string::npos);
    std::printf("seed %llu, %s", static_cast<unsigned long long>(new_seed()), result.output.c_str());
}

CHILD("a random misuse") {
    uint64_t seed = std::strtoull(child_arguments().at(0).c_str(), nullptr, 10);
    world here;
    fuzz::loads(here);
    fuzz::starts(here);
    seeded from(seed);
    run_on_thread([&] {
        machine mine(here, from);
        for (unsigned i = from.below(200); i > 0; --i)
            mine.step();
        // Until there is something that can be done wrong.
        for (int tries = 0; tries < 1000; ++tries) {
            if (mine.misuse(from.below(9)))
                fail(__FILE__, __LINE__, "misuse was not noticed, " + mine.trail());
            mine.step();
        }
    });
}
TEST_CASE("after any calls, misuse aborts with a sentence") {
    const char *full = std::getenv("PYATTACH_TEST_FULL");
    const int samples = full && *full == '1' ? 1000 : 16;
    for (int i = 0; i < samples; ++i) {
        child_options options;
        options.arguments = {std::to_string(new_seed() + static_cast<uint64_t>(i))};
        check_aborts("a random misuse", {"libpyattach: misuse: "}, options);
    }
}
