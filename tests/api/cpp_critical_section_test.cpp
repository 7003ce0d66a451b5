// The C++ API: critical sections, on objects, mutexes and synchronized values.
#include <optional>
#include <stdexcept>
#include <type_traits>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::run_on_thread;
using support::start_python;

static_assert(!std::is_copy_constructible_v<critical_section> && !std::is_move_constructible_v<critical_section> &&
              !std::is_copy_assignable_v<critical_section> && !std::is_move_assignable_v<critical_section>);

TEST_CASE("a critical section on one or two objects") {
    start_python();
    attached here;
    token py = here.token();
    owned first = py.eval("[]"), second = py.eval("[]");
    {
        critical_section section{py, first};
        CHECK(section);
        critical_section same{py, borrowed{py, first}};
        critical_section both{py, first, second};
        critical_section twice{py, second, second.get()};
        CHECK(twice.status() == PYATTACH_OK);
    }
    critical_section again{std::nothrow, py, first, second};
    CHECK(again);
}

TEST_CASE("a critical section on mutexes locks them on free-threaded builds") {
    start_python();
    attached here;
    token py = here.token();
    mutex first, second;
    {
        critical_section section{py, first};
        CHECK(first.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(first.is_locked());
    {
        critical_section section{py, first, second};
        CHECK(first.is_locked() == support::is_free_threaded());
        CHECK(second.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(first.is_locked());
    {
        critical_section same{py, first, first};
        CHECK(first.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(first.is_locked());
    CHECK(critical_section(std::nothrow, py, first));
    CHECK(critical_section(std::nothrow, py, first, second));
}

TEST_CASE("a detached scope inside a section suspends it, and it holds again afterwards") {
    start_python();
    attached here;
    token py = here.token();
    mutex mutex;
    critical_section section{py, mutex};
    {
        detached gap{py};
        CHECK_FALSE(mutex.is_locked());
    }
    CHECK(mutex.is_locked() == support::is_free_threaded());
}

TEST_CASE("a refused section throws its status, or has it when told not to throw") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.eval("[]");
    mutex lock;
    CHECK_FALSE(critical_section(std::nothrow, py, nullptr));
    CHECK(critical_section(std::nothrow, py, reference, nullptr).status() == PYATTACH_INVALID);
    forbidden traversing;
    CHECK(critical_section(std::nothrow, py, reference).status() == PYATTACH_FORBIDDEN);
    CHECK_THROWS_AS(critical_section(py, reference), error);
    CHECK_THROWS_AS(critical_section(py, reference, reference), error);
    CHECK_THROWS_AS(critical_section(py, lock), error);
    CHECK_THROWS_AS(critical_section(py, lock, lock), error);
    CHECK_FALSE(lock.is_locked());
}

TEST_CASE("with_critical_section returns what its function returns, and ends however that ends") {
    start_python();
    attached here;
    token py = here.token();
    owned left = py.eval("[]"), right = py.eval("[]");
    mutex first, second;
    int value = 5;
    CHECK(with_critical_section(py, left, [] { return 1; }) == 1);
    CHECK(with_critical_section(py, left, right, [] { return 2; }) == 2);
    CHECK(with_critical_section(py, first, [&] { return first.is_locked(); }) == support::is_free_threaded());
    CHECK(with_critical_section(py, first, second, [&] { return second.is_locked(); }) == support::is_free_threaded());
    CHECK(&with_critical_section(py, left, [&]() -> int & { return value; }) == &value);
    CHECK_THROWS_AS(with_critical_section(py, first, [] { throw std::runtime_error("inside"); }), std::runtime_error);
    CHECK_FALSE(first.is_locked());
}

TEST_CASE("a synchronized value is entered in a section") {
    start_python();
    attached here;
    token py = here.token();
    synchronized<int> first{1};
    synchronized<double> second{2.5};
    CHECK(with_critical_section(py, first, [&](entered<int> value) {
              CHECK(first.is_locked() == support::is_free_threaded());
              value.get() += 1;
              return value.get();
          }) == 2);
    with_critical_section(py, first, second, [](entered<int> a, std::optional<entered<double>> b) {
        REQUIRE(b);
        CHECK(a.get() == 2);
        b->get() = 3.5;
    });
    CHECK(*second.lock() == 3.5);
    CHECK_FALSE(first.is_locked());
}

TEST_CASE("the same value entered twice gives one handle and no second") {
    start_python();
    attached here;
    synchronized<int> value{1};
    bool has_second = true;
    with_critical_section(here.token(), value, value, [&](entered<int> first, std::optional<entered<int>> second) {
        has_second = second.has_value();
        first.get() = 9;
    });
    CHECK_FALSE(has_second);
    CHECK(*value.lock() == 9);
}

TEST_CASE("sections on two values in opposite order do not deadlock") {
    start_python();
    synchronized<int> first, second;
    support::barrier start("both threads to start", 2);
    auto swap_often = [&](synchronized<int> &a, synchronized<int> &b) {
        attached here;
        here.token().detach_unchecked([&] { start.arrive_and_wait(); });
        for (int i = 0; i < 1000; ++i)
            with_critical_section(here.token(), a, b, [](entered<int> x, auto y) {
                ++x.get();
                ++y->get();
            });
    };
    support::task other("the thread in the other order", [&] { swap_often(second, first); });
    run_on_thread([&] { swap_often(first, second); });
    other.join();
    CHECK(*first.lock() == 2000);
    CHECK(*second.lock() == 2000);
}
