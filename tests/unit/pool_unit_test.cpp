// The pool by itself: a queue of addresses. Nothing is released here, so the addresses name nothing.
#include "pool/pool.hpp"

#include <algorithm>
#include <deque>
#include <numeric>
#include <vector>

#include "support/catch.hpp"
#include "support/threads.hpp"

using pyattach::chunk;
using pyattach::decref_queue;
using pyattach::object;
using pyattach::pool;

namespace {

// Never ended, as the record of an interpreter that it is part of.
pool &new_pool() {
    static auto &interp_data = *new std::deque<pool::data>;
    static auto &all = *new std::deque<pool>;
    return all.emplace_back(interp_data.emplace_back());
}

object *address(std::uintptr_t number) { return reinterpret_cast<object *>(number * 16); }

std::vector<object *> take(pool &from, size_t most) {
    std::vector<object *> references(most);
    references.resize(from.take(references.data(), most, nullptr));
    return references;
}

std::vector<object *> addresses(std::uintptr_t first, std::uintptr_t count) {
    std::vector<object *> all;
    for (std::uintptr_t i = 0; i < count; ++i)
        all.push_back(address(first + i));
    return all;
}

} // namespace

TEST_CASE("a pool gives back what was put in, in the order of the thread that put it") {
    pool &queue = new_pool();
    CHECK(queue.is_empty());
    decref_queue *mine = queue.add_queue();
    REQUIRE(mine);
    // More than a chunk, and more than two, so that links between chunks count.
    constexpr std::uintptr_t many = chunk::fewest * 2 + 3;
    for (object *one : addresses(1, many))
        REQUIRE(queue.push(*mine, one) == pool::outcome::queued);
    CHECK_FALSE(queue.is_empty());
    CHECK(queue.size() == many);
    CHECK(take(queue, 1000) == addresses(1, many));
    CHECK(queue.is_empty());
    CHECK(queue.size() == 0);
    CHECK(queue.high_water() == many);
}

TEST_CASE("a drain takes no more than it asked for, and the rest keeps its order") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue();
    for (object *one : addresses(1, 100))
        queue.push(*mine, one);
    CHECK(take(queue, 30) == addresses(1, 30));
    CHECK(queue.size() == 70);
    CHECK(take(queue, chunk::fewest) == addresses(31, chunk::fewest));
    for (object *one : addresses(101, 5))
        queue.push(*mine, one);
    CHECK(take(queue, 1000) == addresses(31 + chunk::fewest, 105 - 30 - chunk::fewest));
    CHECK(take(queue, 10).empty());
}

TEST_CASE("references without a producer, for which there was no memory, come out too") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue();
    REQUIRE(queue.push_single(address(1), true) == pool::outcome::queued);
    queue.push(*mine, address(2));
    REQUIRE(queue.push_single(address(3), true) == pool::outcome::queued);
    CHECK(queue.size() == 3);
    std::vector<object *> all = take(queue, 10);
    std::sort(all.begin(), all.end());
    CHECK(all == addresses(1, 3));
    CHECK(queue.size() == 0);
}

TEST_CASE("a fork child lists again what waits, with and without a producer") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue(), *theirs = queue.add_queue(), *idle = queue.add_queue();
    REQUIRE(queue.push_single(address(1), true) == pool::outcome::queued);
    queue.push(*mine, address(2));
    REQUIRE(queue.push_single(address(3), true) == pool::outcome::queued);
    queue.push(*theirs, address(4));
    queue.hold();
    theirs->set_place_in_child(false); // as if that thread had been about to list it
    queue.orphan_in_child(*theirs);
    queue.orphan_in_child(*idle);
    queue.relist();
    queue.release_hold();
    std::vector<object *> all = take(queue, 10);
    std::sort(all.begin(), all.end());
    CHECK(all == addresses(1, 4));
    queue.push(*mine, address(5));
    CHECK(take(queue, 10) == addresses(5, 1));
    CHECK(queue.is_empty());
}

TEST_CASE("what an ended thread left is still there, and the next thread is not mixed up with it") {
    pool &queue = new_pool();
    decref_queue *ended = queue.add_queue();
    for (object *one : addresses(1, 10))
        queue.push(*ended, one);
    CHECK(take(queue, 4) == addresses(1, 4));
    queue.orphan(*ended);
    decref_queue *next = queue.add_queue();
    queue.push(*next, address(50));
    std::vector<object *> all = take(queue, 100);
    std::sort(all.begin(), all.end());
    std::vector<object *> expected = addresses(5, 6);
    expected.push_back(address(50));
    CHECK(all == expected);
    queue.orphan(*next); // empty: freed at once
    CHECK(queue.size() == 0);
}

TEST_CASE("a closed pool refuses, and says what it leaked") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue();
    for (object *one : addresses(1, chunk::fewest + 1))
        queue.push(*mine, one);
    REQUIRE(queue.push_single(address(1000), true) == pool::outcome::queued);
    CHECK(queue.close() == chunk::fewest + 2);
    CHECK(queue.is_empty());
    CHECK(queue.size() == 0);
    CHECK(queue.push_single(address(1), true) == pool::outcome::refused);
    CHECK(queue.push(*mine, address(1)) == pool::outcome::refused);
    CHECK(take(queue, 10).empty());
}

TEST_CASE("what an ended thread left is leaked and counted when the pool closes, and is not kept") {
    pool &queue = new_pool();
    decref_queue *ended = queue.add_queue(), *mine = queue.add_queue();
    for (object *one : addresses(1, 3))
        queue.push(*ended, one);
    queue.orphan(*ended);
    queue.push(*mine, address(4));
    CHECK(queue.size() == 4);
    CHECK(queue.close() == 4);
    CHECK(queue.size() == 0);
    CHECK(queue.push(*mine, address(5)) == pool::outcome::refused);
    queue.orphan(*mine);
    CHECK(queue.close() == 0);
}

TEST_CASE("the pool calls for help once in a while when nobody drains it") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue();
    int calls = 0;
    for (object *one : addresses(1, 10000))
        calls += queue.push(*mine, one) == pool::outcome::over_mark;
    CHECK(calls == 4); // with 3904 waiting, and every 1952 after that
    take(queue, 10000);
    CHECK(queue.push(*mine, address(1)) == pool::outcome::queued);
}

TEST_CASE("the pool calls for help when many threads have left a little each, and until that was taken") {
    pool &queue = new_pool();
    constexpr std::uintptr_t each = 100;
    size_t waiting = 0;
    for (int thread = 0; thread < 50; ++thread) {
        decref_queue *ending = queue.add_queue();
        for (object *one : addresses(1, each))
            REQUIRE(queue.push(*ending, one) == pool::outcome::queued);
        waiting += each;
        CHECK(queue.orphan(*ending) == (waiting >= pool::high_water_mark));
    }
    CHECK(take(queue, 2000).size() == 2000);
    waiting -= 2000;
    for (int thread = 0; thread < 20; ++thread) {
        CHECK(queue.orphan(*queue.add_queue()) == (waiting >= pool::high_water_mark));
        REQUIRE(queue.push_single(address(1), true) ==
                (++waiting >= pool::high_water_mark ? pool::outcome::over_mark : pool::outcome::queued));
    }
}

TEST_CASE("the pool calls for help when living threads have given back some hundreds each") {
    pool &queue = new_pool();
    int calls = 0;
    for (int thread = 0; thread < 8; ++thread) {
        decref_queue *living = queue.add_queue();
        for (object *one : addresses(1, 1000))
            calls += queue.push(*living, one) == pool::outcome::over_mark;
    }
    CHECK(calls >= 1);
    take(queue, 8000);
    decref_queue *another = queue.add_queue();
    for (object *one : addresses(1, 1000))
        CHECK(queue.push(*another, one) == pool::outcome::queued);
}

TEST_CASE("references that are not counted when they are queued are not when they are taken") {
    pool &queue = new_pool();
    for (int i = 0; i < 2 * pool::high_water_mark; ++i)
        REQUIRE(queue.push_single(address(1), false) == pool::outcome::queued);
    take(queue, 2 * pool::high_water_mark);
    for (int i = 1; i < pool::high_water_mark; ++i)
        REQUIRE(queue.push_single(address(1), true) == pool::outcome::queued);
    CHECK(queue.push_single(address(1), true) == pool::outcome::over_mark);
}

TEST_CASE("a fork child counts anew what waits") {
    pool &queue = new_pool();
    decref_queue *mine = queue.add_queue();
    for (object *one : addresses(1, pool::high_water_mark - 2))
        REQUIRE(queue.push(*mine, one) == pool::outcome::queued);
    queue.is_drain_scheduled() = true; // as if a thread that is not here had been about to ask
    queue.hold();
    queue.relist();
    queue.release_hold();
    CHECK_FALSE(queue.is_drain_scheduled());
    CHECK(queue.push_single(address(1), true) == pool::outcome::queued);
    CHECK(queue.push_single(address(1), true) == pool::outcome::over_mark);
}

TEST_CASE("nothing is lost or doubled between threads that push and threads that take") {
    pool &queue = new_pool();
    constexpr std::uintptr_t pushers = 3, takers = 2, each = 20000;
    support::latch done("the pushing threads to end", pushers);
    std::vector<object *> taken[takers];
    {
        std::vector<std::unique_ptr<support::task>> tasks;
        for (std::uintptr_t i = 0; i < pushers; ++i)
            tasks.push_back(std::make_unique<support::task>("a pushing thread to end", [&, i] {
                decref_queue *mine = queue.add_queue();
                for (object *one : addresses(1 + i * each, each))
                    queue.push(*mine, one);
                queue.orphan(*mine);
                done.count_down();
            }));
        for (auto &mine : taken)
            tasks.push_back(std::make_unique<support::task>("a taking thread to end", [&] {
                while (!done.is_open())
                    for (object *one : take(queue, pool::largest_batch))
                        mine.push_back(one);
            }));
    }
    std::vector<object *> all = take(queue, pushers * each);
    for (auto &part : taken)
        all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    CHECK(all == addresses(1, pushers * each));
    CHECK(queue.is_empty());
}
