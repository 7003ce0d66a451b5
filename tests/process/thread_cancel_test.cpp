// Native threads that are cancelled inside a call of the library: the locks that they wait for are not left locked.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <pthread.h>
#include <unistd.h>

using namespace support;

namespace {

pyattach_mutex lock = PYATTACH_MUTEX_INIT;

} // namespace

CHILD("threads that wait for a mutex are cancelled") {
    start_python();
    static std::atomic<bool> has_locked;
    for (bool is_attached : {false, true}) {
        // There the thread's state goes with its scope, and the thread is cancelled inside CPython, which deletes it.
        if (is_attached && is_debug_build())
            break;
        has_locked = false;
        pyattach_mutex_lock(&lock);
        pthread_t thread;
        std::atomic<bool> begins{false};
        auto body = [&] {
            pyattach_attached scope;
            if (is_attached)
                EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
            begins = true;
            pyattach_mutex_lock(&lock);
            has_locked = true;
            pyattach_mutex_unlock(&lock);
            if (is_attached)
                pyattach_attached_end(&scope);
            pthread_testcancel();
            end_child(); // never reached
        };
        using body_type = decltype(body);
        EXPECT(pthread_create(
                   &thread, nullptr,
                   [](void *it) -> void * {
                       (*static_cast<body_type *>(it))();
                       return nullptr;
                   },
                   &body) == 0);
        wait_until("the thread to begin", [&] { return begins.load(); });
        EXPECT(pthread_cancel(thread) == 0);
        EXPECT(!has_locked);
        pyattach_mutex_unlock(&lock);
        void *outcome = nullptr;
        EXPECT(pthread_join(thread, &outcome) == 0);
        EXPECT(outcome == PTHREAD_CANCELED);
        EXPECT(has_locked);
        EXPECT(!pyattach_mutex_is_locked(&lock));
    }
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a thread that is cancelled while it waits for a mutex gets the mutex, and ends later") {
    check_succeeds("threads that wait for a mutex are cancelled");
}

CHILD("an initializer is cancelled") {
    static pyattach_once once = PYATTACH_ONCE_INIT;
    static std::atomic<bool> runs;
    for (bool is_cancelled : {false, true}) {
        runs = false;
        static std::atomic<bool> waits_for_cancel;
        waits_for_cancel = is_cancelled;
        pthread_t parked;
        EXPECT(pthread_create(
                   &parked, nullptr,
                   [](void *) -> void * {
                       EXPECT(pyattach_once_run(
                                  &once,
                                  [](void *) -> pyattach_status {
                                      runs = true;
                                      if (!waits_for_cancel)
                                          pthread_exit(nullptr);
                                      for (;;)
                                          pause();
                                  },
                                  nullptr) == PYATTACH_OK);
                       return nullptr;
                   },
                   nullptr) == 0);
        wait_until("the initializer to run", [] { return runs.load(); });
        if (is_cancelled)
            EXPECT(pthread_cancel(parked) == 0);
    }
    static int times;
    for (int i = 0; i < 2; ++i)
        EXPECT(pyattach_once_run(
                   &once, [](void *) { return ++times, PYATTACH_OK; }, nullptr) == PYATTACH_OK);
    EXPECT(times == 1);
    end_child();
}
TEST_CASE("a once whose initializer's thread is cancelled in it is run by the next caller") {
    check_succeeds("an initializer is cancelled");
}
