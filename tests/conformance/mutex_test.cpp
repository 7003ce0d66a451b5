// Group 6: the mutex, and locks of the standard library.
#include "conformance/conformance.hpp"

#include <functional>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <type_traits>

namespace {

void check_sum(int threads, int rounds, bool slow) {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    int sum = 0;
    run_on_threads(threads, "an incrementing thread to end", [&](int i) {
        std::optional<attached> here; // every fifth thread locks without being attached
        if (i % 5 != 4)
            here.emplace();
        for (int round = 0; round < rounds; ++round) {
            pyattach_mutex_lock(&mutex);
            int seen = sum;
            if (slow && (round + i) % 20 == 0) { // a long hold, in which others run Python
                std::optional<detached> gap;
                if (here)
                    gap.emplace();
                for (int turn = 0; turn < 100; ++turn)
                    sched_yield();
            }
            sum = seen + 1;
            pyattach_mutex_unlock(&mutex);
        }
    });
    CHECK(sum == threads * rounds);
}

// The main thread holds the mutex and needs Python. Another thread, attached, waits for the mutex, and must do so
// detached. `lock` returns a guard that unlocks at its end.
template <class Lock>
void check_waits_detached(Lock lock, const std::function<void()> &hold, const std::function<void()> &let_go) {
    start_python();
    hold();
    std::atomic<bool> locked{false}, attached_then{false};
    latch at_it("the other thread to be attached");
    task other("the waiting thread to end", [&] {
        pyattach::attached there;
        at_it.count_down();
        auto held = lock(there.token());
        locked = true;
        attached_then = held.owns_lock() && cpython_says_attached();
    });
    at_it.wait();
    {
        attached here; // would wait for ever if the other one kept the GIL
        CHECK(eval_int("6 * 7") == 42);
    }
    other.wait_until_asleep();
    CHECK_FALSE(locked);
    {
        attached here;
        run("import gc; gc.collect()"); // nor is the world kept from stopping
    }
    let_go();
    other.join();
    CHECK(attached_then);
}
template <class Mutex> void check_exclusive(Mutex &mutex) {
    check_waits_detached([&](pyattach::token py) { return pyattach::lock_detached(py, mutex); }, [&] { mutex.lock(); },
                         [&] { mutex.unlock(); });
    CHECK(mutex.try_lock());
    mutex.unlock();
}
template <class Mutex> void check_writer_blocks_reader() {
    Mutex mutex;
    check_waits_detached([&](pyattach::token py) { return pyattach::lock_shared_detached(py, mutex); },
                         [&] { mutex.lock(); }, [&] { mutex.unlock(); });
}
template <class Mutex> void check_reader_blocks_writer() {
    Mutex mutex;
    check_waits_detached([&](pyattach::token py) { return pyattach::lock_detached(py, mutex); },
                         [&] { mutex.lock_shared(); }, [&] { mutex.unlock_shared(); });
}

template <class Mutex> void throw_under(Mutex &mutex) {
    pyattach::attached here;
    auto held = pyattach::lock_detached(here.token(), mutex);
    throw std::runtime_error("thrown under the lock");
}

} // namespace

TEST_CASE("CPython test_lock_basic") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
    pyattach_mutex_lock(&mutex);
    CHECK(pyattach_mutex_is_locked(&mutex));
    pyattach_mutex_unlock(&mutex);
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

TEST_CASE("CPython test_lock_two_threads") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    std::atomic<bool> got_it{false};
    auto lock = [&] {
        pyattach_mutex_lock(&mutex);
        got_it = true;
        pyattach_mutex_unlock(&mutex);
    };
    auto lock_attached = [&] {
        attached here;
        lock();
        EXPECT(cpython_says_attached());
    };
    auto lock_attached_by_other_code = [&] {
        foreign_attach other;
        lock();
        EXPECT(cpython_says_attached());
    };
    for (const std::function<void()> &waiter : {std::function<void()>(lock), std::function<void()>(lock_attached),
                                                std::function<void()>(lock_attached_by_other_code)}) {
        got_it = false;
        pyattach_mutex_lock(&mutex);
        task second("the second thread to end", waiter);
        second.wait_until_asleep();
        CHECK_FALSE(got_it);
        pyattach_mutex_unlock(&mutex);
        second.join();
        CHECK(got_it);
        CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
    }
}

TEST_CASE("CPython test_lock_counter") { check_sum(5, 10000, false); }
TEST_CASE("CPython test_lock_counter_slow") { check_sum(5, 100, true); }

TEST_CASE("CPython test_lock_rwlock") {
    start_python();
    std::shared_mutex mutex;
    auto reader = [&](latch &inside, latch &may_go) {
        return [&] {
            pyattach::attached here;
            auto held = pyattach::lock_shared_detached(here.token(), mutex);
            pyattach::detached gap{here.token()};
            inside.count_down();
            may_go.wait();
        };
    };
    latch reading("two readers together", 2), may_end("permission to end");
    task first("the first reader to end", reader(reading, may_end));
    task second("the second reader to end", reader(reading, may_end));
    reading.wait();
    latch writing("the writer to be inside"), may_stop("permission to stop writing");
    task writer("the writer to end", [&] {
        pyattach::attached here;
        auto held = pyattach::lock_detached(here.token(), mutex);
        pyattach::detached gap{here.token()};
        writing.count_down();
        may_stop.wait();
    });
    writer.wait_until_asleep();
    CHECK_FALSE(writing.is_open());
    may_end.count_down();
    writing.wait();
    latch reading_again("a reader after the writer");
    task third("the third reader to end", reader(reading_again, may_end));
    third.wait_until_asleep();
    CHECK_FALSE(reading_again.is_open());
    may_stop.count_down();
    for (task *thread : {&first, &second, &writer, &third})
        thread->join();
    CHECK(reading_again.is_open());
}

// The library's mutex is not recursive; std::recursive_mutex stays recursive.
TEST_CASE("CPython test_lock_recursive") {
    start_python();
    pyattach::attached here;
    std::recursive_mutex mutex;
    auto outer = pyattach::lock_detached(here.token(), mutex);
    auto inner = pyattach::lock_detached(here.token(), mutex);
    auto is_free = [&] {
        return run_on_thread([&] {
            bool free = mutex.try_lock();
            if (free)
                mutex.unlock();
            return free;
        });
    };
    inner.unlock();
    CHECK_FALSE(is_free());
    outer.unlock();
    CHECK(is_free());
}

TEST_CASE("PyO3 test_pymutex") {
    start_python();
    pyattach::mutex mutex;
    run_on_thread([&mutex] { mutex.lock(); }); // by reference; whose lock it is, the mutex does not care
    CHECK(mutex.is_locked());
    CHECK_FALSE(mutex.try_lock());
    run_on_thread([&mutex] { mutex.unlock(); });
    CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("PyO3 test_pymutex_blocks") {
    pyattach::mutex mutex;
    check_waits_detached(
        [&](pyattach::token) {
            mutex.lock();
            return std::unique_lock<pyattach::mutex>(mutex, std::adopt_lock);
        },
        [&] { mutex.lock(); }, [&] { mutex.unlock(); });
}

TEST_CASE("PyO3 test_recover_poison") {
    start_python();
    pyattach::synchronized<std::vector<int>> value;
    run_on_thread([&] {
        try {
            auto guard = value.lock();
            guard->push_back(1);
            throw std::runtime_error("thrown under the lock");
        } catch (const std::runtime_error &) {
        }
    });
    CHECK_FALSE(value.is_locked());
    CHECK(value.lock()->size() == 1);
}

TEST_CASE("PyO3 test_mutex_ext") {
    std::mutex mutex;
    check_exclusive(mutex);
}
TEST_CASE("PyO3 test_mutex_ext_poison") {
    start_python();
    std::mutex mutex;
    CHECK_THROWS_AS(throw_under(mutex), std::runtime_error);
    check_exclusive(mutex);
}
TEST_CASE("PyO3 test_parking_lot_mutex_ext") {
    std::timed_mutex timed;
    check_exclusive(timed);
    std::recursive_mutex recursive;
    check_exclusive(recursive);
    std::recursive_timed_mutex both;
    check_exclusive(both);
}
TEST_CASE("PyO3 test_rwlock_ext_writer_blocks_reader") { check_writer_blocks_reader<std::shared_mutex>(); }
TEST_CASE("PyO3 test_rwlock_ext_reader_blocks_writer") { check_reader_blocks_writer<std::shared_mutex>(); }
TEST_CASE("PyO3 test_parking_lot_rwlock_ext_writer_blocks_reader") {
    check_writer_blocks_reader<std::shared_timed_mutex>();
}
TEST_CASE("PyO3 test_parking_lot_rwlock_ext_reader_blocks_writer") {
    check_reader_blocks_writer<std::shared_timed_mutex>();
}
TEST_CASE("PyO3 test_rwlock_ext_poison") {
    start_python();
    std::shared_mutex mutex;
    CHECK_THROWS_AS(throw_under(mutex), std::runtime_error);
    check_exclusive(mutex);
    pyattach::attached here;
    auto first = pyattach::lock_shared_detached(here.token(), mutex);
    auto second = pyattach::lock_shared_detached(here.token(), mutex);
    CHECK((first.owns_lock() && second.owns_lock()));
}
