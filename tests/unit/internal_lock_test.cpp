// Internal lock: an ordinary lock, and its states around a fork.
#include "base/internal_lock.hpp"

#include <atomic>
#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/threads.hpp"

using pyattach::internal_lock;
namespace fork_hold = pyattach::fork_hold;
using support::barrier;
using support::latch;
using support::task;

TEST_CASE("one thread at a time has an internal lock") {
    internal_lock lock;
    constexpr int threads = 4, rounds = 20000;
    int counted = 0; // guarded
    barrier together("the threads to be there", threads);
    auto count = [&] {
        together.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) {
            lock.lock();
            ++counted;
            lock.unlock();
        }
    };
    task first("a counting thread", count), second("a counting thread", count), third("a counting thread", count);
    count();
    for (task *each : {&first, &second, &third})
        each->join();
    CHECK(counted == threads * rounds);
}

TEST_CASE("a thread that waits for an internal lock gets it when the other thread unlocks it") {
    internal_lock lock;
    lock.lock();
    std::atomic<bool> has_it{false};
    task other("the waiting thread", [&] {
        lock.lock();
        has_it = true;
        lock.unlock();
    });
    other.wait_until_asleep();
    CHECK(!has_it);
    lock.unlock();
    other.join();
    CHECK(has_it);
}

TEST_CASE("lock_within fails on a locked internal lock, and locks a free one") {
    internal_lock lock;
    CHECK(lock.lock_within(0));
    support::run_on_thread([&] { CHECK(!lock.lock_within(1000000)); });
    lock.unlock();
    support::run_on_thread([&] {
        CHECK(lock.lock_within(0));
        lock.unlock();
    });
}

TEST_CASE("a lock that is held for a fork is borrowed, and the parent does not wait for the borrower") {
    internal_lock lock;
    latch has_borrowed("the borrower to have the lock"), may_unlock("permission to unlock");
    REQUIRE(fork_hold::begin());
    lock.hold();
    task borrower("the borrower to end", [&] {
        lock.lock();
        has_borrowed.count_down();
        may_unlock.wait();
        lock.unlock();
    });
    has_borrowed.wait();
    REQUIRE(fork_hold::is_outermost());
    lock.release_hold();
    fork_hold::end();
    // The borrower still has the lock.
    CHECK(!lock.lock_within(1000000));
    may_unlock.count_down();
    borrower.join();
    CHECK(lock.lock_within(0));
    lock.unlock();
}

TEST_CASE("a thread that waits for a locked lock borrows it when a forking thread holds it") {
    internal_lock lock;
    latch is_held("the lock to be held"), may_end("permission to end");
    lock.lock();
    task other("the waiting thread", [&] {
        lock.lock();
        lock.unlock();
    });
    other.wait_until_asleep();
    REQUIRE(fork_hold::begin());
    lock.hold_locked();
    other.join();
    lock.release_hold();
    fork_hold::end();
    CHECK(lock.lock_within(0));
    lock.unlock();
}

TEST_CASE("the forking thread locks a lock that it holds, and the hold continues") {
    internal_lock lock;
    REQUIRE(fork_hold::begin());
    lock.hold();
    CHECK(lock.lock_within(0));
    CHECK(!lock.lock_within(1000000)); // once
    lock.unlock();
    CHECK(lock.lock_within(0));
    lock.unlock();
    CHECK(!lock.restart()); // nothing is half written
    fork_hold::end_in_child();
}

TEST_CASE("restart in the child reports whether the lock was borrowed") {
    for (bool is_borrowed : {false, true}) {
        internal_lock lock, other;
        latch has_borrowed("the borrower to have the lock"), may_unlock("permission to unlock");
        REQUIRE(fork_hold::begin());
        lock.hold();
        other.hold();
        task borrower("the borrower to end", [&] {
            if (is_borrowed)
                lock.lock();
            has_borrowed.count_down();
            may_unlock.wait();
            if (is_borrowed)
                lock.unlock();
        });
        has_borrowed.wait();
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            bool is_right = lock.restart() == is_borrowed && !other.restart();
            fork_hold::end_in_child();
            is_right = is_right && lock.lock_within(0) && other.lock_within(0) && fork_hold::begin();
            _exit(is_right ? 0 : 1);
        }
        other.release_hold();
        lock.release_hold();
        fork_hold::end();
        may_unlock.count_down();
        borrower.join();
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
}

TEST_CASE("the second of two forking threads borrows the locks over its own fork, and nothing is lost in its child") {
    internal_lock lock;
    REQUIRE(fork_hold::begin());
    lock.hold();
    int status = -1;
    support::run_on_thread([&] {
        const bool must_hold = fork_hold::begin();
        const bool is_second = must_hold && !fork_hold::is_first();
        lock.hold();
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            const bool is_whole = is_second && !lock.restart();
            fork_hold::end_in_child();
            _exit(is_whole && lock.lock_within(0) && fork_hold::begin() && fork_hold::is_first() ? 0 : 1);
        }
        fork_hold::is_outermost();
        lock.release_hold();
        fork_hold::end();
        waitpid(child, &status, 0);
    });
    CHECK(status == 0);
    CHECK(fork_hold::is_first());
    lock.release_hold();
    fork_hold::end();
    CHECK(lock.lock_within(0));
    lock.unlock();
}

TEST_CASE("a fork inside a fork of the same thread neither holds nor releases the locks") {
    internal_lock lock;
    REQUIRE(fork_hold::begin());
    lock.hold();
    CHECK(!fork_hold::begin());
    CHECK(!fork_hold::is_outermost());
    CHECK(fork_hold::is_outermost());
    lock.release_hold();
    fork_hold::end();
}
