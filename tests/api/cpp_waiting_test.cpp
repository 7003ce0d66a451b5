// The C++ API: waiting for locks, threads and conditions of the standard library.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace pyattach;
using support::detaches;
using support::latch;
using support::start_python;
using support::task;

namespace {

// A std::mutex that counts down a latch when a thread is about to wait for it.
struct telling_mutex : std::mutex {
    latch wanted{"somebody to want the lock"};
    int was_attached = -1;
    void lock() {
        was_attached = pyattach_is_attached();
        wanted.count_down();
        std::mutex::lock();
    }
};

// The holder of the lock needs Python before it unlocks.
template <class Lock, class Mutex, class Take> void wait_for(Mutex &mutex, Take take) {
    latch is_held("the lock to be held"), want("the other to want it");
    task holder("the holder", [&] {
        Lock held(mutex);
        is_held.count_down();
        want.wait();
        attached here;
        here.token().run("pass");
    });
    is_held.wait();
    attached here;
    want.count_down();
    auto held = take(here.token());
    CHECK(held.owns_lock());
    CHECK(pyattach_is_attached());
    held.unlock();
    detached gap{here.token()};
    holder.join();
}

} // namespace

TEST_CASE("a free lock is taken without detaching") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex plain;
    std::shared_mutex shared;
    std::uint64_t before = detaches();
    CHECK(lock_detached(py, plain).owns_lock());
    CHECK(lock_detached(std::nothrow, py, plain).owns_lock());
    {
        auto reader = lock_shared_detached(py, shared);
        CHECK(lock_shared_detached(std::nothrow, py, shared).owns_lock());
    }
    CHECK(lock_detached(py, shared).owns_lock());
    CHECK(detaches() == before);
}

TEST_CASE("waiting for a lock lets its owner use Python") {
    start_python();
    std::mutex plain;
    std::recursive_mutex recursive;
    std::shared_mutex shared;
    mutex ours;
    using writer = std::unique_lock<std::shared_mutex>;
    using reader = std::shared_lock<std::shared_mutex>;
    wait_for<std::unique_lock<std::mutex>>(plain, [&](token py) { return lock_detached(py, plain); });
    wait_for<std::unique_lock<std::mutex>>(plain, [&](token py) { return lock_detached(std::nothrow, py, plain); });
    wait_for<std::unique_lock<std::recursive_mutex>>(recursive, [&](token py) { return lock_detached(py, recursive); });
    wait_for<std::unique_lock<mutex>>(ours, [&](token py) { return lock_detached(py, ours); });
    wait_for<writer>(shared, [&](token py) { return lock_detached(py, shared); });
    wait_for<reader>(shared, [&](token py) { return lock_detached(py, shared); });
    wait_for<writer>(shared, [&](token py) { return lock_shared_detached(py, shared); });
    wait_for<writer>(shared, [&](token py) { return lock_shared_detached(std::nothrow, py, shared); });
}

TEST_CASE("an exception in the lock holder releases the lock to the next") {
    start_python();
    std::mutex plain;
    task thrower("the one that throws", [&] {
        attached here;
        try {
            auto held = lock_detached(here.token(), plain);
            throw std::runtime_error("under the lock");
        } catch (const std::runtime_error &) {
        }
    });
    thrower.join();
    attached here;
    CHECK(lock_detached(here.token(), plain).owns_lock());
}

TEST_CASE("re-attaching with a lock held does not drain the pool under it") {
    start_python();
    attached here;
    token py = here.token();
    py.run("class Noisy:\n    gone = 0\n    def __del__(self): Noisy.gone += 1");
    owned noisy = py.eval("Noisy()");
    telling_mutex lock;
    latch is_held("the lock to be held");
    task holder("the holder", [&] {
        std::unique_lock<std::mutex> held(lock);
        is_held.count_down();
        lock.wanted.wait();
        noisy.reset();
    });
    {
        detached gap{py};
        is_held.wait();
    }
    auto held = lock_detached(py, lock);
    CHECK(lock.was_attached == 0);
    CHECK(pyattach_pool_size() == 1);
    CHECK(py.to<int>(py.eval("Noisy.gone")) == 0);
    held.unlock();
    { attached drains; }
    CHECK(py.to<int>(py.eval("Noisy.gone")) == 1);
    detached gap{py};
    holder.join();
}

TEST_CASE("joining a thread lets it use Python to its end") {
    start_python();
    attached here;
    token py = here.token();
    auto work = [] {
        attached there;
        there.token().run("joined = True");
    };
    std::thread first(work), second(work);
    join_detached(py, first);
    CHECK(py.to<bool>(py.eval("joined")));
    CHECK(join_detached(std::nothrow, py, second) == PYATTACH_OK);
    CHECK_FALSE(second.joinable());
    CHECK(pyattach_is_attached());
    CHECK_THROWS_AS(join_detached(py, second), std::system_error);
    CHECK(pyattach_is_attached());
}

TEST_CASE("waiting for a condition detaches, so that the notifying thread may use Python") {
    start_python();
    std::mutex lock;
    std::condition_variable changed;
    std::condition_variable_any changed_any;
    bool is_ready = false;
    latch waiting("the main thread to wait");
    auto work = [&] {
        waiting.wait();
        attached here;
        here.token().run("condition = 'met'");
        auto held = lock_detached(here.token(), lock);
        is_ready = true;
        changed.notify_all();
        changed_any.notify_all();
    };
    task worker("the worker", work);
    attached here;
    token py = here.token();
    std::unique_lock<std::mutex> held(lock);
    wait_detached(py, changed, held, [&] {
        waiting.count_down();
        return is_ready;
    });
    CHECK(held.owns_lock());
    CHECK(py.to<std::string>(py.eval("condition")) == "met");
    std::uint64_t before = detaches();
    CHECK(wait_detached(std::nothrow, py, changed_any, held, [&] { return is_ready; }) == PYATTACH_OK);
    CHECK(detaches() == before);
    held.unlock();
    detached gap{py};
    worker.join();
}

TEST_CASE("waiting while traversing is refused") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex lock;
    std::condition_variable changed;
    std::unique_lock<std::mutex> held(lock);
    std::thread thread([] {});
    forbidden traversing;
    CHECK_THROWS_AS(lock_detached(py, lock), error);
    CHECK_FALSE(lock_detached(std::nothrow, py, lock).owns_lock());
    CHECK(join_detached(std::nothrow, py, thread) == PYATTACH_FORBIDDEN);
    CHECK_THROWS_AS(join_detached(py, thread), error);
    CHECK_THROWS_AS(wait_detached(py, changed, held, [] { return false; }), error);
    CHECK(held.owns_lock());
    thread.join();
}
