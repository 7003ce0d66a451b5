// The gate alone, without a Python: neither side ever misses the other, with each of the three kinds of fences.
//
// This file is compiled twice, together with the gate: with the gate as it is, and with the two lines of `announce`
// swapped (PYATTACH_TEST_SWAPPED). The same two storms have to detect the swapped lines.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/threads.hpp"
#include "support/expect.hpp"

#include <algorithm>
#include <memory>
#include <sched.h>
#include <vector>

#include "core/gate.hpp"
#include "unit/storms.hpp"
#include "platform/clock.hpp"

using namespace support;
using pyattach::gate;
using pyattach::participant;
using pyattach::presence;

namespace {

[[maybe_unused]] constexpr int64_t ms = 1000000, far_away = 60000 * ms;

// A pausing thread pauses between the two lines, until the closing thread has gone on, but for a quarter of a
// millisecond at most.
thread_local bool pausing;
std::atomic<bool> closer_has_gone_on{false};
enum class pauses { none, entering, leaving };

struct whole_gate : gate::data, gate {
    whole_gate() : gate(static_cast<gate::data &>(*this)) {}
};

std::unique_ptr<whole_gate> new_gate() {
    prepare();
    return std::make_unique<whole_gate>();
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
    int late = 0; // threads that entered after the closing thread had found no thread inside
    int lost = 0; // waits that no thread woke
};

// One closing thread against three threads that enter and leave. Ends early when the count `until` is not zero.
storm_result storm(int rounds, pauses place, int64_t limit_ns, int storm_result::*until = nullptr) {
    storm_result result;
    constexpr int visitors = 3;
    for (int round = 0; round < rounds && !(until && result.*until); ++round) {
        std::unique_ptr<whole_gate> the_gate = new_gate();
        participant participants[visitors] = {};
        int visits[visitors] = {};
        std::atomic<bool> is_over{false};
        std::atomic<int> late{0};
        bool stays = place == pauses::entering || (place == pauses::none && round % 2 == 0);
        closer_has_gone_on = false;
        barrier together("all threads of the storm to be there", visitors + 1);
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < visitors; ++i) {
            the_gate->add(participants[i]);
            tasks.push_back(std::make_unique<task>("a visitor of the gate to end", [&, i] {
                together.arrive_and_wait();
                // A thread that leaves may not enter again. Then it was the last one that could wake the closing
                // thread.
                for (int more = stays ? 1 << 30 : 1 + round % 8; more > 0; --more) {
                    pausing = place == pauses::entering;
                    if (!the_gate->enter(participants[i]))
                        break;
                    pausing = place == pauses::leaving;
                    late += is_over;
                    ++visits[i];
                    the_gate->leave(participants[i], presence::outside);
                }
            }));
        }
        together.arrive_and_wait();
        idle(round % 64 * 100);
        int64_t deadline = pyattach::monotonic_ns() + limit_ns;
        the_gate->close();
        unsigned inside = the_gate->wait(nullptr, false, deadline);
        // At its deadline the wait counts once more, so only the clock shows that no thread woke it.
        result.lost += pyattach::monotonic_ns() >= deadline;
        is_over = true;
        int seen = visits[0] + visits[1] + visits[2];
        closer_has_gone_on = true;
        for (auto &visitor : tasks)
            visitor->join();
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

TEST_CASE("with the two lines swapped a thread enters after the gate was found empty") {
    CHECK(storm(1000, pauses::entering, 10 * ms, &storm_result::late).late > 0);
}

TEST_CASE("with the two lines swapped no thread wakes the closing thread") {
    CHECK(storm(1000, pauses::leaving, 10 * ms, &storm_result::lost).lost > 0);
}

#else

namespace {

// One thread enters at the moment at which the gate closes. Both sides may read what the other stored, but at least one
// of them has to. Without its fences the gate fails this some hundred times in 5,000.
int collisions_missed(int rounds) {
    turns turn(rounds);
    std::atomic<bool> was_let_in{false};
    std::unique_ptr<whole_gate> the_gate = new_gate();
    participant self{};
    the_gate->add(self);
    store_backlog before; // the store of the presence comes after it, and the load of the gate's word overtakes it
    int missed = 0;
    task closer("the closer to end", [&] {
        run_on_core(0);
        int delay = 100;
        int round = 0;
        for (; turn.goes_on(round); ++round) {
            the_gate->reopen();
            self.presence_now = presence::outside;
            before.store(1);
            turn.begin(2 * round + 1);
            idle(delay);
            the_gate->close();
            bool was_seen = the_gate->wait(nullptr, false, 0) != 0;
            turn.wait_for(2 * round + 2);
            missed += was_let_in && !was_seen;
            // The side that was too late comes sooner in the next round, so the two stay together under any load.
            delay = was_let_in ? std::max(delay - 2, 0) : std::min(delay + 2, 5000);
        }
        turn.begin(2 * round + 1);
    });
    task visitor("the visitor to end", [&] {
        run_on_core(1);
        for (int round = 0; turn.wait_for(2 * round + 1), !turn.is_over(); ++round) {
            (void)the_gate->now(); // loads its cache line
            before.store(2);
            was_let_in.store(the_gate->enter(self), std::memory_order_relaxed);
            turn.begin(2 * round + 2);
        }
    });
    visitor.join();
    closer.join();
    return missed;
}

void storms() {
    for (pauses place : {pauses::none, pauses::entering, pauses::leaving}) {
        storm_result result = storm(place == pauses::none ? 200 : 50, place, far_away);
        EXPECT(result.late == 0);
        EXPECT(result.lost == 0);
    }
    EXPECT(collisions_missed(5000) == 0);
}

} // namespace

// For the thread sanitizer: only the participant synchronizes the visitor with the closing thread.
TEST_CASE("what a thread did inside happens before the closing thread goes on") {
    for (int round = 0; round < 100; ++round) {
        std::unique_ptr<whole_gate> the_gate = new_gate();
        participant self = {};
        the_gate->add(self);
        int visits = 0;
        std::atomic<bool> was_cleared{false};
        task visitor("the visitor to end", [&] {
            for (int i = 0; i < 5; ++i)
                if (the_gate->enter(self)) {
                    ++visits;
                    the_gate->leave(self, presence::outside);
                }
            was_cleared.store(true, std::memory_order_relaxed);
        });
        while (!was_cleared.load(std::memory_order_relaxed))
            sched_yield();
        the_gate->close();
        CHECK(the_gate->wait(nullptr, false, 0) == 0);
        CHECK(visits == 5);
        visitor.join();
    }
}

TEST_CASE("neither side misses the other with membarrier") {
    prepare();
    storms();
}

#endif
