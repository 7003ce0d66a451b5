// The pool alone, without a Python: no reference is stranded, whatever the timing of a push and a drain.
//
// This file is compiled twice, together with the pool and its decref queues: as they are, and with the two lines of a
// push swapped (PYATTACH_TEST_SWAPPED). With the lines swapped, references have to be stranded, or the test proves
// nothing.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "pool/pool.hpp"
#include "unit/storms.hpp"

using namespace support;
using pyattach::decref_queue;
using mode = decref_queue::push_mode;
using pyattach::object;
using pyattach::pool;

namespace {

// The pushing thread stays between the two lines of its push until this latch is open.
thread_local latch *pausing_until;
thread_local latch *is_between;

struct whole_pool : pool::data, pool {
    whole_pool() : pool(static_cast<pool::data &>(*this)) {}
};

object *some_address() { return reinterpret_cast<object *>(16); }

void push_many(pool &the_pool, decref_queue &queue, int many) {
    for (int i = 0; i < many; ++i)
        EXPECT(the_pool.push(queue, some_address()) != pool::outcome::refused);
}

// As attaches do that find references in the pool.
size_t take_all(pool &the_pool, const decref_queue *own = nullptr) {
    std::vector<object *> references(pool::largest_batch);
    size_t taken = 0;
    while (!the_pool.is_empty())
        taken += the_pool.take(references.data(), references.size(), own);
    return taken;
}

// How many references are stranded when a drain empties the queue while its owner is between the two lines of its last
// push.
size_t stranded_between(int waiting, bool is_plain) {
    auto the_pool = std::make_unique<whole_pool>();
    latch between("a push to be between its two lines"), has_emptied("the drain to be over");
    decref_queue *queue = the_pool->add_queue();
    task pusher("the thread that pushes to end", [&] {
        push_many(*the_pool, *queue, waiting);
        EXPECT((queue->mode() == mode::plain) == is_plain);
        is_between = &between;
        pausing_until = &has_emptied;
        push_many(*the_pool, *queue, 1);
    });
    between.wait();
    size_t taken = take_all(*the_pool);
    has_emptied.count_down();
    pusher.join();
    taken += take_all(*the_pool);
    const size_t stranded = static_cast<size_t>(waiting) + 1 - taken;
    EXPECT(the_pool->size() == stranded);
    return stranded;
}

// How many references wait. With `many`, pushes are plain.
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

// One thread pushes at the moment at which a drain takes its decref queue off the list. Without any one of the fences,
// on either side, a reference is stranded in some of the rounds.
int collisions_missed(int rounds, int waiting) {
    auto the_pool = std::make_unique<whole_pool>();
    turns turn(rounds);
    store_backlog before; // the push comes after it, and the load of `in_pool_list` overtakes it
    int missed = 0;
    decref_queue *queue = the_pool->add_queue();
    std::atomic<int> delay{100};
    task pusher("the thread that pushes to end", [&] {
        run_on_core(1);
        int round = 0;
        for (; turn.wait_for(4 * round), turn.goes_on(round); ++round) {
            push_many(*the_pool, *queue, waiting);
            turn.begin(4 * round + 1);
            turn.wait_for(4 * round + 2);
            idle(delay.load(std::memory_order_relaxed));
            before.store(2);
            push_many(*the_pool, *queue, 1);
            turn.begin(4 * round + 3);
        }
        turn.begin(4 * round + 1);
    });
    task drain("the drain to end", [&] {
        run_on_core(0);
        std::vector<object *> references(static_cast<size_t>(waiting) + 1);
        for (int round = 0; turn.wait_for(4 * round + 1), !turn.is_over(); ++round) {
            before.store(1);
            turn.begin(4 * round + 2);
            const size_t taken = the_pool->take(references.data(), references.size(), nullptr);
            turn.wait_for(4 * round + 3);
            missed += taken + take_all(*the_pool) != static_cast<size_t>(waiting) + 1;
            // The side that was too late comes sooner in the next round, so the two stay together under any load.
            const bool was_early = taken > static_cast<size_t>(waiting);
            const int steps = delay.load(std::memory_order_relaxed);
            delay.store(was_early ? std::min(steps + 1, 5000) : std::max(steps - 1, 0), std::memory_order_relaxed);
            // A stranded reference comes out with the next push.
            if (the_pool->size() != 0) {
                push_many(*the_pool, *queue, 1);
                take_all(*the_pool);
            }
            turn.begin(4 * round + 4);
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

TEST_CASE("a decref queue is plain while much waits, and fenced after a drain has emptied it") {
    prepare();
    auto the_pool = std::make_unique<whole_pool>();
    decref_queue *queue = the_pool->add_queue();
    for (int round = 0; round < 3; ++round) {
        push_many(*the_pool, *queue, few);
        CHECK(queue->mode() == mode::fenced);
        push_many(*the_pool, *queue, many);
        CHECK((queue->mode() == mode::plain) == pyattach::fences_are_asymmetric);
        CHECK(take_all(*the_pool, round == 0 ? queue : nullptr) == few + many);
        CHECK(the_pool->size() == 0);
    }
}

TEST_CASE("a push that closing overtakes is counted once") {
    prepare();
    for (int waiting : {few, many}) {
        auto the_pool = std::make_unique<whole_pool>();
        latch between("a push to be between its two lines"), is_closed("the closing to be over");
        decref_queue *queue = the_pool->add_queue();
        task pusher("the thread that pushes to end", [&] {
            push_many(*the_pool, *queue, waiting);
            is_between = &between;
            pausing_until = &is_closed;
            EXPECT(the_pool->push(*queue, some_address()) != pool::outcome::refused);
            EXPECT(the_pool->push(*queue, some_address()) == pool::outcome::refused);
        });
        between.wait();
        CHECK(the_pool->close() == static_cast<size_t>(waiting) + 1);
        is_closed.count_down();
        pusher.join();
        CHECK(the_pool->size() == 0);
        CHECK(static_cast<pool &>(*the_pool).high_water() == static_cast<size_t>(waiting) + 1);
    }
}

TEST_CASE("no reference is stranded: membarrier") {
    prepare();
    storms();
}

#endif
