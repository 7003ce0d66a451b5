// The pool alone, with addresses that are not objects, because no test releases them.
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

// It is never freed, as the record of an interpreter that contains it.
pool &new_pool() {
    static auto &interp_data = *new std::deque<pool::data>;
    static auto &all = *new std::deque<pool>;
    return all.emplace_back(interp_data.emplace_back());
}

// With or without having been put into the list.
bool is_queued(pool::outcome outcome) { return outcome == pool::outcome::queued || outcome == pool::outcome::listed; }

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

TEST_CASE("a pool returns what was pushed, in the order of the thread that pushed it") {
    pool &the_pool = new_pool();
    CHECK(the_pool.is_empty());
    decref_queue *queue = the_pool.add_queue();
    REQUIRE(queue);
    // More than two chunks, so that the links between chunks are tested.
    constexpr std::uintptr_t many = chunk::fewest * 2 + 3;
    for (object *reference : addresses(1, many))
        REQUIRE(is_queued(the_pool.push(*queue, reference)));
    CHECK_FALSE(the_pool.is_empty());
    CHECK(the_pool.size() == many);
    CHECK(take(the_pool, 1000) == addresses(1, many));
    CHECK(the_pool.is_empty());
    CHECK(the_pool.size() == 0);
    CHECK(the_pool.high_water() == many);
}

TEST_CASE("a drain takes no more than its limit, and the rest keeps its order") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    for (object *reference : addresses(1, 100))
        the_pool.push(*queue, reference);
    CHECK(take(the_pool, 30) == addresses(1, 30));
    CHECK(the_pool.size() == 70);
    CHECK(take(the_pool, chunk::fewest) == addresses(31, chunk::fewest));
    for (object *reference : addresses(101, 5))
        the_pool.push(*queue, reference);
    CHECK(take(the_pool, 1000) == addresses(31 + chunk::fewest, 105 - 30 - chunk::fewest));
    CHECK(take(the_pool, 10).empty());
}

TEST_CASE("references that were pushed without a queue come out, too") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    REQUIRE(is_queued(the_pool.push_single(address(1), true)));
    the_pool.push(*queue, address(2));
    REQUIRE(is_queued(the_pool.push_single(address(3), true)));
    CHECK(the_pool.size() == 3);
    std::vector<object *> all = take(the_pool, 10);
    std::sort(all.begin(), all.end());
    CHECK(all == addresses(1, 3));
    CHECK(the_pool.size() == 0);
}

TEST_CASE("a fork child puts into the list again what waits, with and without a queue") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue(), *theirs = the_pool.add_queue(), *idle = the_pool.add_queue();
    REQUIRE(is_queued(the_pool.push_single(address(1), true)));
    the_pool.push(*queue, address(2));
    REQUIRE(is_queued(the_pool.push_single(address(3), true)));
    the_pool.push(*theirs, address(4));
    the_pool.hold();
    theirs->set_place_in_child(false); // as if that thread had been about to link it
    the_pool.orphan_in_child(*theirs);
    the_pool.orphan_in_child(*idle);
    the_pool.relist();
    the_pool.release_hold();
    std::vector<object *> all = take(the_pool, 10);
    std::sort(all.begin(), all.end());
    CHECK(all == addresses(1, 4));
    the_pool.push(*queue, address(5));
    CHECK(take(the_pool, 10) == addresses(5, 1));
    CHECK(the_pool.is_empty());
}

TEST_CASE("the references of an ended thread stay, apart from those of the next thread") {
    pool &the_pool = new_pool();
    decref_queue *ended = the_pool.add_queue();
    for (object *reference : addresses(1, 10))
        the_pool.push(*ended, reference);
    CHECK(take(the_pool, 4) == addresses(1, 4));
    the_pool.orphan(*ended);
    decref_queue *next = the_pool.add_queue();
    the_pool.push(*next, address(50));
    std::vector<object *> all = take(the_pool, 100);
    std::sort(all.begin(), all.end());
    std::vector<object *> expected = addresses(5, 6);
    expected.push_back(address(50));
    CHECK(all == expected);
    the_pool.orphan(*next); // empty: freed at once
    CHECK(the_pool.size() == 0);
}

TEST_CASE("a closed pool refuses pushes, and returns how many references leaked") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    for (object *reference : addresses(1, chunk::fewest + 1))
        the_pool.push(*queue, reference);
    REQUIRE(is_queued(the_pool.push_single(address(1000), true)));
    CHECK(the_pool.close() == chunk::fewest + 2);
    CHECK(the_pool.is_empty());
    CHECK(the_pool.size() == 0);
    CHECK(the_pool.push_single(address(1), true) == pool::outcome::refused);
    CHECK(the_pool.push(*queue, address(1)) == pool::outcome::refused);
    CHECK(take(the_pool, 10).empty());
}

TEST_CASE("the references of an ended thread are leaked and counted when the pool closes, and its queue is freed") {
    pool &the_pool = new_pool();
    decref_queue *ended = the_pool.add_queue(), *queue = the_pool.add_queue();
    for (object *reference : addresses(1, 3))
        the_pool.push(*ended, reference);
    the_pool.orphan(*ended);
    the_pool.push(*queue, address(4));
    CHECK(the_pool.size() == 4);
    CHECK(the_pool.close() == 4);
    CHECK(the_pool.size() == 0);
    CHECK(the_pool.push(*queue, address(5)) == pool::outcome::refused);
    the_pool.orphan(*queue);
    CHECK(the_pool.close() == 0);
}

TEST_CASE("pushes report now and then that the pool is over its mark") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    int calls = 0;
    for (object *reference : addresses(1, 10000))
        calls += the_pool.push(*queue, reference) == pool::outcome::over_mark;
    CHECK(calls == 4); // with 3904 waiting, and every 1952 after that
    take(the_pool, 10000);
    CHECK(is_queued(the_pool.push(*queue, address(1))));
}

TEST_CASE(
    "the pool is over its mark when many ended threads have left some references each, until a drain has taken them") {
    pool &the_pool = new_pool();
    constexpr std::uintptr_t each = 100;
    size_t waiting = 0;
    for (int thread = 0; thread < 50; ++thread) {
        decref_queue *ending = the_pool.add_queue();
        for (object *reference : addresses(1, each))
            REQUIRE(is_queued(the_pool.push(*ending, reference)));
        waiting += each;
        CHECK(the_pool.orphan(*ending) == (waiting >= pool::drain_threshold));
    }
    CHECK(take(the_pool, 2000).size() == 2000);
    waiting -= 2000;
    for (int thread = 0; thread < 20; ++thread) {
        CHECK(the_pool.orphan(*the_pool.add_queue()) == (waiting >= pool::drain_threshold));
        REQUIRE(the_pool.push_single(address(1), true) ==
                (++waiting >= pool::drain_threshold ? pool::outcome::over_mark : pool::outcome::listed));
    }
}

TEST_CASE("the pool is over its mark when running threads have pushed some hundreds each") {
    pool &the_pool = new_pool();
    int calls = 0;
    for (int thread = 0; thread < 8; ++thread) {
        decref_queue *living = the_pool.add_queue();
        for (object *reference : addresses(1, 1000))
            calls += the_pool.push(*living, reference) == pool::outcome::over_mark;
    }
    CHECK(calls >= 1);
    take(the_pool, 8000);
    decref_queue *another = the_pool.add_queue();
    for (object *reference : addresses(1, 1000))
        CHECK(is_queued(the_pool.push(*another, reference)));
}

TEST_CASE("references that are not counted when they are pushed are not subtracted when they are taken") {
    pool &the_pool = new_pool();
    for (int i = 0; i < 2 * pool::drain_threshold; ++i)
        REQUIRE(is_queued(the_pool.push_single(address(1), false)));
    take(the_pool, 2 * pool::drain_threshold);
    for (int i = 1; i < pool::drain_threshold; ++i)
        REQUIRE(is_queued(the_pool.push_single(address(1), true)));
    CHECK(the_pool.push_single(address(1), true) == pool::outcome::over_mark);
}

TEST_CASE("a fork child counts again what waits") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    for (object *reference : addresses(1, pool::drain_threshold - 2))
        REQUIRE(is_queued(the_pool.push(*queue, reference)));
    the_pool.is_drain_scheduled() = true; // as if a thread that is not in the child had set it
    the_pool.hold();
    the_pool.relist();
    the_pool.release_hold();
    CHECK_FALSE(the_pool.is_drain_scheduled());
    CHECK(is_queued(the_pool.push_single(address(1), true)));
    CHECK(the_pool.push_single(address(1), true) == pool::outcome::over_mark);
}

TEST_CASE("no reference is lost or doubled between threads that push and threads that take") {
    pool &the_pool = new_pool();
    constexpr std::uintptr_t pushers = 3, takers = 2, each = 20000;
    support::latch done("the pushing threads to end", pushers);
    std::vector<object *> taken[takers];
    {
        std::vector<std::unique_ptr<support::task>> tasks;
        for (std::uintptr_t i = 0; i < pushers; ++i)
            tasks.push_back(std::make_unique<support::task>("a pushing thread to end", [&, i] {
                decref_queue *queue = the_pool.add_queue();
                for (object *reference : addresses(1 + i * each, each))
                    the_pool.push(*queue, reference);
                the_pool.orphan(*queue);
                done.count_down();
            }));
        for (auto &part : taken)
            tasks.push_back(std::make_unique<support::task>("a taking thread to end", [&] {
                while (!done.is_open())
                    for (object *reference : take(the_pool, pool::largest_batch))
                        part.push_back(reference);
            }));
    }
    std::vector<object *> all = take(the_pool, pushers * each);
    for (auto &part : taken)
        all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    CHECK(all.size() == pushers * each);
    CHECK((all == addresses(1, pushers * each))); // as one value: Catch would take minutes to print all of them
    CHECK(the_pool.is_empty());
}

TEST_CASE("a push says whether it has put the thread's queue into the list, so that housekeeping is requested once") {
    pool &the_pool = new_pool();
    decref_queue *queue = the_pool.add_queue();
    CHECK(the_pool.push(*queue, address(1)) == pool::outcome::listed);
    CHECK(the_pool.push(*queue, address(2)) == pool::outcome::queued);
    CHECK(the_pool.push_single(address(3), true) == pool::outcome::listed);
    CHECK(take(the_pool, 10).size() == 3);
    CHECK(the_pool.push(*queue, address(4)) == pool::outcome::listed);
}
