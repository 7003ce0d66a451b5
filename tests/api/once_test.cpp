// Once: one-time initialization.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/waiting_thread.hpp"

#include <cstring>

using namespace support;

namespace {

pyattach_status run_once(pyattach_once *once, std::function<pyattach_status()> init) {
    return pyattach_once_run(
        once, [](void *arg) { return (*static_cast<std::function<pyattach_status()> *>(arg))(); }, &init);
}

} // namespace

TEST_CASE("zeroed memory is a once ready for use, and the initializer says the same") {
    pyattach_once zeroed, initialized = PYATTACH_ONCE_INIT;
    std::memset(&zeroed, 0, sizeof zeroed);
    CHECK(std::memcmp(&zeroed, &initialized, sizeof zeroed) == 0);
    CHECK(run_once(&zeroed, [] { return PYATTACH_OK; }) == PYATTACH_OK);
}

TEST_CASE("NULL in place of a once or an initializer is refused") {
    pyattach_once once = PYATTACH_ONCE_INIT;
    CHECK(pyattach_once_run(
              nullptr, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_once_run(&once, nullptr, nullptr) == PYATTACH_INVALID);
    CHECK(run_once(&once, [] { return PYATTACH_OK; }) == PYATTACH_OK); // unharmed
}

TEST_CASE("a waiter takes over when the initializer it waited for fails") {
    start_python();
    pyattach_once once = PYATTACH_ONCE_INIT;
    latch running("the initializer to run"), blocked("the waiter to block");
    task first("the initializing thread to end", [&] {
        EXPECT(run_once(&once, [&] {
                   running.count_down();
                   blocked.wait();
                   return PYATTACH_NO_MEMORY;
               }) == PYATTACH_NO_MEMORY);
    });
    running.wait();
    bool took_over = false;
    task second("the waiting thread to end", [&] {
        attached here;
        EXPECT(run_once(&once, [&] {
                   EXPECT(cpython_says_attached()); // in the state its caller is in
                   took_over = true;
                   return PYATTACH_OK;
               }) == PYATTACH_OK);
    });
    second.wait_until_asleep();
    blocked.count_down();
    first.join();
    second.join();
    CHECK(took_over);
}

TEST_CASE("an initializer may detach, and run other onces") {
    start_python();
    attached here;
    pyattach_once outer = PYATTACH_ONCE_INIT, inner = PYATTACH_ONCE_INIT;
    bool ran = false;
    CHECK(run_once(&outer, [&] {
              detached gap;
              return run_once(&inner, [&] {
                  ran = true;
                  return PYATTACH_OK;
              });
          }) == PYATTACH_OK);
    CHECK(ran);
    CHECK(pyattach_is_attached());
}

TEST_CASE("a once that nobody else uses does not detach") {
    start_python();
    attached here;
    if (is_free_threaded())
        return; // without a GIL a detach cannot be observed
    waiting_thread other;
    for (int i = 0; i < 1000; ++i) {
        pyattach_once once = PYATTACH_ONCE_INIT;
        REQUIRE(run_once(&once, [] { return PYATTACH_OK; }) == PYATTACH_OK);
        REQUIRE(run_once(&once, [] { return PYATTACH_OK; }) == PYATTACH_OK);
    }
    CHECK_FALSE(other.got_in());
    detached gap;
    other.join();
}
