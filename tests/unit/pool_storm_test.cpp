// The pool by itself, without a Python: no reference is stranded, whichever way a decref_queue and a drain meet.
//
// This file is compiled twice, together with the pool and its decref_queues: as they are, and with the two lines of its
// pushes swapped (PYATTACH_TEST_SWAPPED). The swapped one must strand what the other does not; that is what the test is
// good for.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <memory>
#include <sched.h>
#include <vector>

#include "pool/pool.hpp"
#include "unit/storms.hpp"

using namespace support;
using pyattach::decref_queue;
using mode = decref_queue::push_mode;
using pyattach::object;
using pyattach::pool;

namespace {

// Whoever pushes stays between the two lines until this is open.
thread_local latch *pausing_until;
thread_local latch *is_between;

struct whole_pool : pool::data, pool {
    whole_pool() : pool(static_cast<pool::data &>(*this)) {}
};

object *some_address() { return reinterpret_cast<object *>(16); }

void push_many(pool &queue, decref_queue &mine, int many) {
    for (int i = 0; i < many; ++i)
        EXPECT(queue.push(mine, some_address()) != pool::outcome::refused);
}

// What attaches do that find something.
size_t take_all(pool &queue, const decref_queue *own = nullptr) {
    std::vector<object *> references(pool::largest_batch);
    size_t taken = 0;
    while (!queue.is_empty())
        taken += queue.take(references.data(), references.size(), own);
    return taken;
}

// How many are stranded when a drain empties the queue while its thread is between the two lines of its last push.
size_t stranded_between(int waiting, bool is_plain) {
    auto queue = std::make_unique<whole_pool>();
    latch between("a push to be between its two lines"), has_emptied("the drain to be over");
    decref_queue *mine = queue->add_queue();
    task pusher("the thread that pushes to end", [&] {
        push_many(*queue, *mine, waiting);
        EXPECT((mine->mode() == mode::plain) == is_plain);
        is_between = &between;
        pausing_until = &has_emptied;
        push_many(*queue, *mine, 1);
    });
    between.wait();
    size_t taken = take_all(*queue);
    has_emptied.count_down();
    pusher.join();
    taken += take_all(*queue);
    const size_t stranded = static_cast<size_t>(waiting) + 1 - taken;
    EXPECT(queue->size() == stranded);
    return stranded;
}

// More than so many waiting, and pushes are plain.
constexpr int few = 10, many = 1000;

} // namespace

namespace pyattach {
void pause_between() noexcept {
    if (latch *until = std::exchange(pausing_until, nullptr)) {
        is_between->count_down();
        until->wait();
    }
}
} // namespace pyattach

#ifdef PYATTACH_TEST_SWAPPED

TEST_CASE("with the two lines swapped a reference is stranded") {
    prepare();
    CHECK(stranded_between(few, false) == 1);
    CHECK(stranded_between(many, pyattach::fences_are_asymmetric) == 1);
}

#else

namespace {

// One thread pushes at the moment at which a drain unlists its decref_queue. Without any one of the fences, on either
// side, a reference is stranded in some of the rounds.
int collisions_missed(int rounds, int waiting) {
    auto queue = std::make_unique<whole_pool>();
    std::atomic<int> turn{0};
    // Stores that have to wait for the other core, and the push behind them; the look at the list overtakes them all.
    struct alignas(64) line {
        volatile char stored;
    } lines[32] = {};
    auto wait_for_turn = [&](int wanted) {
        for (int i = 1; turn.load(std::memory_order_acquire) < wanted; ++i)
            if (i % 2000 == 0)
                sched_yield(); // the other thread may have lost its core
    };
    int missed = 0;
    decref_queue *mine = queue->add_queue();
    std::atomic<int> delay{100};
    task pusher("the thread that pushes to end", [&] {
        run_on_core(1);
        for (int round = 0; round < rounds; ++round) {
            wait_for_turn(4 * round);
            push_many(*queue, *mine, waiting);
            turn.store(4 * round + 1, std::memory_order_release);
            wait_for_turn(4 * round + 2);
            for (volatile int i = delay.load(std::memory_order_relaxed); i > 0; i = i - 1) {
            }
            for (line &one : lines)
                one.stored = 2;
            push_many(*queue, *mine, 1);
            turn.store(4 * round + 3, std::memory_order_release);
        }
    });
    task drain("the drain to end", [&] {
        run_on_core(0);
        std::vector<object *> references(static_cast<size_t>(waiting) + 1);
        for (int round = 0; round < rounds; ++round) {
            wait_for_turn(4 * round + 1);
            for (line &one : lines)
                one.stored = 1;
            turn.store(4 * round + 2, std::memory_order_release);
            const size_t taken = queue->take(references.data(), references.size(), nullptr);
            wait_for_turn(4 * round + 3);
            missed += taken + take_all(*queue) != static_cast<size_t>(waiting) + 1;
            // Whoever comes too late comes sooner next time, so they stay together whatever the machine is doing.
            const bool was_early = taken > static_cast<size_t>(waiting);
            const int now = delay.load(std::memory_order_relaxed);
            delay.store(was_early ? std::min(now + 1, 5000) : std::max(now - 1, 0), std::memory_order_relaxed);
            // Stranded: it comes out with the next.
            if (queue->size() != 0) {
                push_many(*queue, *mine, 1);
                take_all(*queue);
            }
            turn.store(4 * round + 4, std::memory_order_release);
        }
    });
    pusher.join();
    drain.join();
    return missed;
}

void storms() {
    for (int waiting : {few, many}) {
        EXPECT(stranded_between(waiting, waiting == many && pyattach::fences_are_asymmetric) == 0);
        EXPECT(collisions_missed(20000, waiting) == 0);
    }
}

} // namespace

TEST_CASE("a producer is plain while much waits, and fenced when a drain has emptied it") {
    prepare();
    auto queue = std::make_unique<whole_pool>();
    decref_queue *mine = queue->add_queue();
    for (int round = 0; round < 3; ++round) {
        push_many(*queue, *mine, few);
        CHECK(mine->mode() == mode::fenced);
        push_many(*queue, *mine, many);
        CHECK((mine->mode() == mode::plain) == pyattach::fences_are_asymmetric);
        CHECK(take_all(*queue, round == 0 ? mine : nullptr) == few + many);
        CHECK(queue->size() == 0);
    }
}

TEST_CASE("a push that closing overtakes is counted once") {
    prepare();
    for (int waiting : {few, many}) {
        auto queue = std::make_unique<whole_pool>();
        latch between("a push to be between its two lines"), is_closed("the closing to be over");
        decref_queue *mine = queue->add_queue();
        task pusher("the thread that pushes to end", [&] {
            push_many(*queue, *mine, waiting);
            is_between = &between;
            pausing_until = &is_closed;
            EXPECT(queue->push(*mine, some_address()) == pool::outcome::queued);
            EXPECT(queue->push(*mine, some_address()) == pool::outcome::refused);
        });
        between.wait();
        CHECK(queue->close() == static_cast<size_t>(waiting) + 1);
        is_closed.count_down();
        pusher.join();
        CHECK(queue->size() == 0);
        CHECK(static_cast<pool &>(*queue).high_water() == static_cast<size_t>(waiting) + 1);
    }
}

TEST_CASE("no reference is stranded: membarrier") {
    prepare();
    storms();
}

#endif
