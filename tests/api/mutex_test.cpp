// The mutex: with Python, without, and against the GIL.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/waiting_thread.hpp"

#include <cstring>

using namespace support;

TEST_CASE("zeroed memory is a mutex ready for use, and the initializer says the same") {
    pyattach_mutex zeroed, initialized = PYATTACH_MUTEX_INIT;
    std::memset(&zeroed, 0, sizeof zeroed);
    CHECK(std::memcmp(&zeroed, &initialized, sizeof zeroed) == 0);
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

TEST_CASE("a free mutex is locked without detaching") {
    start_python();
    attached here;
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    waiting_thread other; // with a GIL, would get in if the lock detached
    if (!is_free_threaded()) {
        for (int i = 0; i < 1000; ++i) {
            pyattach_mutex_lock(&mutex);
            pyattach_mutex_unlock(&mutex);
            REQUIRE(pyattach_mutex_try_lock(&mutex) == 1);
            pyattach_mutex_unlock(&mutex);
        }
        CHECK_FALSE(other.got_in());
    }
    detached gap;
    other.join();
    CHECK(other.got_in());
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
