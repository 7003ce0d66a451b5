// The gate by itself, without a Python: who is inside, who waits, and that neither side ever misses the other.
//
// This file is compiled twice, together with the gate: as the gate is, and with the two lines of `announce` swapped
// (PYATTACH_TEST_SWAPPED). The swapped one must be caught by the same two storms; that is what they are good for.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/threads.hpp"
#include "support/expect.hpp"

#include <memory>
#include <sched.h>
#include <vector>

#include "gate.hpp"
#include "stress/fences.hpp"

using namespace support;
using pyattach::gate;
using pyattach::seat;
namespace presence = pyattach::presence;

namespace {

constexpr int64_t ms = 1000000, far_away = 60000 * ms;

// A thread that pauses does so between the two lines, until the closer has gone on, or for a moment.
thread_local bool pausing;
std::atomic<bool> closer_has_gone_on{false};
enum class pauses { none, entering, leaving };

std::unique_ptr<gate> new_gate() {
    static bool prepared = (pyattach::prepare_fences(), true);
    (void)prepared;
    return std::make_unique<gate>();
}

// Some nanoseconds each, differently many each time, so that threads meet in different places.
void idle(int steps) {
    for (volatile int i = steps; i > 0; i = i - 1) {
    }
}

} // namespace

namespace pyattach {
void pause_between() noexcept {
    if (!pausing)
        return;
    for (int64_t end = monotonic_ns() + ms / 4; !closer_has_gone_on && monotonic_ns() < end;)
        sched_yield();
}
} // namespace pyattach

namespace {

struct storm_result {
    int late = 0; // threads that were let in although the closer had seen nobody
    int lost = 0; // waits that nobody woke
};

// One closer against three threads that go in and out. What a thread does inside is written without a lock, and read by
// the closer after its wait: under the thread sanitizer that is a test of its own. Over when `until` is found.
storm_result storm(int rounds, pauses where, int64_t limit_ns, int storm_result::*until = nullptr) {
    storm_result result;
    constexpr int visitors = 3;
    for (int round = 0; round < rounds && !(until && result.*until); ++round) {
        std::unique_ptr<gate> door = new_gate();
        seat seats[visitors] = {};
        int visits[visitors] = {};
        std::atomic<bool> is_over{false};
        std::atomic<int> late{0};
        closer_has_gone_on = false;
        barrier together("all threads of the storm to be there", visitors + 1);
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < visitors; ++i) {
            door->add(seats[i]);
            tasks.push_back(std::make_unique<task>("a visitor of the gate to end", [&, i] {
                together.arrive_and_wait();
                // Who leaves may not come back, and so be the last who could wake the closer.
                for (int more = where == pauses::leaving ? 1 + round % 8 : 1 << 30; more > 0; --more) {
                    pausing = where == pauses::entering;
                    if (!door->enter(seats[i]))
                        break;
                    pausing = where == pauses::leaving;
                    late += is_over;
                    ++visits[i];
                    door->leave(seats[i], presence::outside);
                }
            }));
        }
        together.arrive_and_wait();
        idle(round % 64 * 100);
        int64_t deadline = pyattach::monotonic_ns() + limit_ns;
        door->set(gate::closed);
        unsigned inside = door->wait(nullptr, false, deadline);
        // At its deadline the wait looks once more, so only the clock tells that it was not woken.
        result.lost += pyattach::monotonic_ns() >= deadline;
        is_over = true;
        int seen = visits[0] + visits[1] + visits[2];
        closer_has_gone_on = true;
        for (auto &one : tasks)
            one->join();
        result.late += late;
#ifndef PYATTACH_TEST_SWAPPED
        EXPECT(inside == 0);
        EXPECT(seen == visits[0] + visits[1] + visits[2]);
#endif
        (void)inside, (void)seen;
    }
    return result;
}

} // namespace

#ifdef PYATTACH_TEST_SWAPPED

TEST_CASE("with the two lines swapped a thread is let in although the gate was seen empty") {
    CHECK(storm(1000, pauses::entering, 10 * ms, &storm_result::late).late > 0);
}

TEST_CASE("with the two lines swapped nobody wakes the closer") {
    CHECK(storm(1000, pauses::leaving, 10 * ms, &storm_result::lost).lost > 0);
}

#else

TEST_CASE("an open gate lets in, a closed one refuses, and the seat says so") {
    auto door = new_gate();
    seat mine = {};
    door->add(mine);
    CHECK(door->now() == gate::open);
    CHECK(door->enter(mine));
    CHECK(mine.inside == presence::attached);
    CHECK(door->enter(mine)); // again, from within a detached scope
    door->leave(mine, presence::detached);
    CHECK(mine.inside == presence::detached);
    door->set(gate::closed);
    CHECK(door->now() == gate::closed);
    CHECK_FALSE(door->enter(mine));
    CHECK(mine.inside == presence::detached); // as before
    door->leave(mine, presence::outside);
    CHECK_FALSE(door->enter(mine));
    CHECK(mine.inside == presence::outside);
    door->set(gate::dead);
    CHECK(door->is_dead());
    CHECK_FALSE(door->enter(mine));
}

TEST_CASE("who is detached inside may come back to a closed gate, not to a sealed one") {
    auto door = new_gate();
    seat mine = {};
    door->add(mine);
    CHECK(door->enter(mine));
    door->leave(mine, presence::detached);
    door->set(gate::closed);
    CHECK(door->come_back(mine));
    CHECK(mine.inside == presence::attached);
    door->leave(mine, presence::detached);
    door->set(gate::sealed);
    CHECK_FALSE(door->come_back(mine));
    CHECK(mine.inside == presence::outside);
}

TEST_CASE("the closer counts who is inside, but for itself, and at will only who is attached") {
    auto door = new_gate();
    seat attached = {}, detached = {}, outside = {}, own = {};
    attached.native_id = 11;
    detached.native_id = 12;
    own.native_id = 13;
    for (seat *one : {&attached, &detached, &outside, &own})
        door->add(*one);
    for (seat *one : {&attached, &detached, &own})
        CHECK(door->enter(*one));
    door->leave(detached, presence::detached);
    CHECK(door->wait(&own, false, 0) == 2);
    CHECK(door->wait(&own, true, 0) == 1);
    CHECK(door->wait(nullptr, true, 0) == 2);
    pid_t ids[4] = {};
    CHECK(door->who(&own, ids, 4) == 2);
    CHECK(ids[0] + ids[1] == 23);
    CHECK(door->who(&own, ids, 1) == 1);
    door->leave(attached, presence::outside);
    CHECK(door->wait(&own, true, far_away) == 0);
    door->remove(detached); // its thread ended
    CHECK(door->wait(&own, false, far_away) == 0);
    CHECK(door->who(&own, ids, 4) == 0);
}

TEST_CASE("a wait ends when the last thread leaves, or when its thread ends") {
    for (bool leaves : {true, false}) {
        auto door = new_gate();
        seat mine = {};
        door->add(mine);
        CHECK(door->enter(mine));
        unsigned inside = 1;
        task closer("the closer to be woken", [&] {
            door->set(gate::closed);
            inside = door->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
        });
        closer.wait_until_asleep();
        CHECK_FALSE(closer.has_returned());
        if (leaves)
            door->leave(mine, presence::outside);
        else
            door->remove(mine);
        closer.join();
        CHECK(inside == 0);
    }
}

namespace {

// One thread enters at the moment at which the gate closes: both may see the other, but not neither.
int collisions_missed(int rounds) {
    std::atomic<int> turn{0};
    std::atomic<bool> was_let_in{false};
    std::unique_ptr<gate> door;
    seat mine{};
    auto wait_for_turn = [&](int wanted) {
        while (turn.load(std::memory_order_acquire) < wanted) {
            // As close together as can be, but not for ever: the other thread may have lost its core.
            for (int i = 0; i < 2000 && turn.load(std::memory_order_acquire) < wanted; ++i) {
            }
            if (turn.load(std::memory_order_acquire) < wanted)
                sched_yield();
        }
    };
    task visitor("the visitor to end", [&] {
        for (int round = 0; round < rounds; ++round) {
            wait_for_turn(2 * round + 1);
            idle(round % 200);
            was_let_in.store(door->enter(mine), std::memory_order_relaxed);
            turn.store(2 * round + 2, std::memory_order_release);
        }
    });
    int missed = 0;
    for (int round = 0; round < rounds; ++round) {
        door = new_gate();
        mine.inside = presence::outside;
        door->add(mine);
        turn.store(2 * round + 1, std::memory_order_release);
        door->set(gate::closed);
        bool seen = door->wait(nullptr, false, 0) != 0;
        wait_for_turn(2 * round + 2);
        missed += was_let_in.load(std::memory_order_relaxed) && !seen;
    }
    visitor.join();
    return missed;
}

void storms() {
    for (pauses where : {pauses::none, pauses::entering, pauses::leaving}) {
        storm_result result = storm(where == pauses::none ? 200 : 50, where, far_away);
        EXPECT(result.late == 0);
        EXPECT(result.lost == 0);
    }
    EXPECT(collisions_missed(5000) == 0);
}

} // namespace

TEST_CASE("neither side misses the other: membarrier") {
    (void)new_gate();
    storms();
}

CHILD("a gate without membarrier") {
    if (!stress::refuse_membarrier())
        std::_Exit(77);
    (void)new_gate();
    EXPECT(!pyattach::fences_are_asymmetric);
    storms();
}
CHILD("a gate that loses membarrier") {
    (void)new_gate();
    EXPECT(pyattach::fences_are_asymmetric);
    if (!stress::refuse_membarrier())
        std::_Exit(77);
    storms();
}
TEST_CASE("neither side misses the other: without membarrier, and where it is refused after all") {
    for (const char *name : {"a gate without membarrier", "a gate that loses membarrier"}) {
        child_result result = run_child(name);
        INFO(name << ": " << result.describe());
        if (result.exit_code == 77)
            WARN("this system has no seccomp filters, so membarrier cannot be taken away");
        else
            CHECK(result.exit_code == 0);
    }
}

#endif
