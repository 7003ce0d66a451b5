// The mutex: with Python, without, and against the GIL.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstring>

using namespace support;

// CPython test_lock_basic
TEST_CASE("a mutex is locked, shown as locked, and free again") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
    pyattach_mutex_lock(&mutex);
    CHECK(pyattach_mutex_is_locked(&mutex) == 1);
    pyattach_mutex_unlock(&mutex);
    CHECK(pyattach_mutex_is_locked(&mutex) == 0);
}

TEST_CASE("zeroed memory is a mutex ready for use, and the initialiser says the same") {
    pyattach_mutex zeroed, initialised = PYATTACH_MUTEX_INIT;
    std::memset(&zeroed, 0, sizeof zeroed);
    CHECK(std::memcmp(&zeroed, &initialised, sizeof zeroed) == 0);
    pyattach_mutex_lock(&zeroed);
    CHECK(pyattach_mutex_is_locked(&zeroed));
    pyattach_mutex_unlock(&zeroed);
}

TEST_CASE("trying succeeds on a free mutex and fails on a locked one, on its owner too") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    CHECK(pyattach_mutex_try_lock(&mutex) == 1);
    CHECK(pyattach_mutex_try_lock(&mutex) == 0);
    run_on_thread([&] { CHECK(pyattach_mutex_try_lock(&mutex) == 0); });
    pyattach_mutex_unlock(&mutex);
    run_on_thread([&] {
        CHECK(pyattach_mutex_try_lock(&mutex) == 1);
        pyattach_mutex_unlock(&mutex);
    });
}

TEST_CASE("NULL in place of a mutex is ignored") {
    pyattach_mutex_lock(nullptr);
    CHECK(pyattach_mutex_try_lock(nullptr) == 0);
    CHECK(pyattach_mutex_is_locked(nullptr) == 0);
    pyattach_mutex_unlock(nullptr);
}

// CPython test_lock_two_threads, in each state the waiter can be in
TEST_CASE("a second locker waits for the holder and gets the mutex after it") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    bool released = false, seen = false;
    auto lock_and_look = [&] {
        pyattach_mutex_lock(&mutex);
        seen = released;
        pyattach_mutex_unlock(&mutex);
    };
    pyattach_mutex_lock(&mutex);
    std::function<void()> waiter;
    SECTION("not attached") { waiter = lock_and_look; }
    SECTION("attached") {
        waiter = [&] {
            attached here;
            lock_and_look();
            EXPECT(cpython_says_attached());
        };
    }
    SECTION("attached by other code") {
        waiter = [&] {
            foreign_attach other;
            lock_and_look();
            EXPECT(cpython_says_attached());
        };
    }
    task second("the waiting thread to end", waiter);
    second.wait_until_asleep();
    CHECK_FALSE(second.has_returned());
    released = true;
    pyattach_mutex_unlock(&mutex);
    second.join();
    CHECK(seen);
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

// CPython test_lock_counter, test_lock_counter_slow
TEST_CASE("short locked increments add up, with the odd long hold") {
    start_python();
    constexpr int threads = 5, each = 2000;
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    int counter = 0;
    {
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < threads; ++i)
            tasks.push_back(std::make_unique<task>("a counting thread to end", [&, i] {
                for (int round = 0; round < each; ++round) {
                    bool attach = (round + i) % 8 == 0, hold_long = (round + i) % 100 == 0;
                    if (attach) {
                        attached here;
                        pyattach_mutex_lock(&mutex);
                        ++counter;
                        pyattach_mutex_unlock(&mutex);
                        continue;
                    }
                    pyattach_mutex_lock(&mutex);
                    int before = counter;
                    if (hold_long)
                        sched_yield();
                    counter = before + 1;
                    pyattach_mutex_unlock(&mutex);
                }
            }));
    }
    CHECK(counter == threads * each);
}

// PyO3 test_pymutex_blocks, test_mutex_ext
TEST_CASE("a blocked locker is detached: others attach, and the holder may attach too") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    latch holds("the holder to hold the mutex"), blocked("the locker to block");
    task holder("the holder to end", [&] {
        pyattach_mutex_lock(&mutex);
        holds.count_down();
        blocked.wait();
        {
            attached here; // mutex first, interpreter second
            EXPECT(eval_int("1") == 1);
        }
        pyattach_mutex_unlock(&mutex);
    });
    holds.wait();
    task locker("the locker to end", [&] {
        attached here;
        pyattach_mutex_lock(&mutex);
        EXPECT(pyattach_is_attached());
        pyattach_mutex_unlock(&mutex);
    });
    locker.wait_until_asleep();
    run_on_thread([] {
        attached third;
        CHECK(eval_int("3") == 3);
    });
    CHECK_FALSE(locker.has_returned());
    blocked.count_down();
    holder.join();
    locker.join();
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

// conformance.md, group 6: first use without contention
TEST_CASE("a free mutex is locked without detaching") {
    start_python();
    attached here;
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    // With a GIL, a thread that waits for it would get it here if we let go.
    latch waiting("the waiting thread to start");
    bool got_in = false;
    task other("the waiting thread to end", [&] {
        waiting.count_down();
        attached there;
        got_in = true;
    });
    waiting.wait();
    other.wait_until_asleep();
    if (!is_free_threaded()) {
        for (int i = 0; i < 1000; ++i) {
            pyattach_mutex_lock(&mutex);
            pyattach_mutex_unlock(&mutex);
            REQUIRE(pyattach_mutex_try_lock(&mutex) == 1);
            pyattach_mutex_unlock(&mutex);
        }
        CHECK_FALSE(got_in);
    }
    detached gap;
    other.join();
    CHECK(got_in);
}

TEST_CASE("the lock and CPython's own PyMutex are one lock, where there is one") {
    start_python();
    void *lock = cpython_symbol("PyMutex_Lock", false);
    if (!lock)
        return;
    auto *unlock = cpython<void(void *)>("PyMutex_Unlock");
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    attached here;
    reinterpret_cast<void (*)(void *)>(lock)(&mutex);
    CHECK(pyattach_mutex_is_locked(&mutex));
    CHECK(pyattach_mutex_try_lock(&mutex) == 0);
    task other("the waiting thread to end", [&] {
        pyattach_mutex_lock(&mutex); // waits for the one that CPython locked
        pyattach_mutex_unlock(&mutex);
    });
    other.wait_until_asleep();
    unlock(&mutex);
    other.join();
    pyattach_mutex_lock(&mutex);
    task third("the thread waiting in CPython to end", [&] {
        attached there;
        reinterpret_cast<void (*)(void *)>(lock)(&mutex);
        unlock(&mutex);
    });
    third.wait_until_asleep();
    pyattach_mutex_unlock(&mutex);
    detached gap;
    third.join();
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}
