// The C++ face: critical sections, on objects, mutexes and synchronized values.
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
    owned one = py.eval("[]"), two = py.eval("[]");
    {
        critical_section section{py, one};
        CHECK(section);
        critical_section same{py, borrowed{py, one}};
        critical_section both{py, one, two};
        critical_section twice{py, two, two.get()};
        CHECK(twice.status() == PYATTACH_OK);
    }
    critical_section again{std::nothrow, py, one, two};
    CHECK(again);
}

TEST_CASE("a critical section on mutexes locks them on free-threaded builds") {
    start_python();
    attached here;
    token py = here.token();
    mutex one, two;
    {
        critical_section section{py, one};
        CHECK(one.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(one.is_locked());
    {
        critical_section section{py, one, two};
        CHECK(one.is_locked() == support::is_free_threaded());
        CHECK(two.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(one.is_locked());
    {
        critical_section same{py, one, one};
        CHECK(one.is_locked() == support::is_free_threaded());
    }
    CHECK_FALSE(one.is_locked());
    CHECK(critical_section(std::nothrow, py, one));
    CHECK(critical_section(std::nothrow, py, one, two));
}

TEST_CASE("a detached scope inside a section suspends it, and it holds again afterwards") {
    start_python();
    attached here;
    token py = here.token();
    mutex one;
    critical_section section{py, one};
    {
        detached gap{py};
        CHECK_FALSE(one.is_locked());
    }
    CHECK(one.is_locked() == support::is_free_threaded());
}

TEST_CASE("a refused section throws its status, or has it when told not to throw") {
    start_python();
    attached here;
    token py = here.token();
    owned one = py.eval("[]");
    mutex lock;
    CHECK_FALSE(critical_section(std::nothrow, py, nullptr));
    CHECK(critical_section(std::nothrow, py, one, nullptr).status() == PYATTACH_INVALID);
    forbidden traversing;
    CHECK(critical_section(std::nothrow, py, one).status() == PYATTACH_FORBIDDEN);
    CHECK_THROWS_AS(critical_section(py, one), error);
    CHECK_THROWS_AS(critical_section(py, one, one), error);
    CHECK_THROWS_AS(critical_section(py, lock), error);
    CHECK_THROWS_AS(critical_section(py, lock, lock), error);
    CHECK_FALSE(lock.is_locked());
}

TEST_CASE("with_critical_section returns what its function returns, and ends however that ends") {
    start_python();
    attached here;
    token py = here.token();
    owned one = py.eval("[]"), two = py.eval("[]");
    mutex first, second;
    int value = 5;
    CHECK(with_critical_section(py, one, [] { return 1; }) == 1);
    CHECK(with_critical_section(py, one, two, [] { return 2; }) == 2);
    CHECK(with_critical_section(py, first, [&] { return first.is_locked(); }) == support::is_free_threaded());
    CHECK(with_critical_section(py, first, second, [&] { return second.is_locked(); }) == support::is_free_threaded());
    CHECK(&with_critical_section(py, one, [&]() -> int & { return value; }) == &value);
    CHECK_THROWS_AS(with_critical_section(py, first, [] { throw std::runtime_error("inside"); }), std::runtime_error);
    CHECK_FALSE(first.is_locked());
}

TEST_CASE("a synchronized value is entered in a section") {
    start_python();
    attached here;
    token py = here.token();
    synchronized<int> one{1};
    synchronized<double> two{2.5};
    CHECK(with_critical_section(py, one, [&](entered<int> value) {
              CHECK(one.is_locked() == support::is_free_threaded());
              value.get() += 1;
              return value.get();
          }) == 2);
    with_critical_section(py, one, two, [](entered<int> a, std::optional<entered<double>> b) {
        REQUIRE(b);
        CHECK(a.get() == 2);
        b->get() = 3.5;
    });
    CHECK(*two.lock() == 3.5);
    CHECK_FALSE(one.is_locked());
}

TEST_CASE("the same value entered twice gives one handle and no second") {
    start_python();
    attached here;
    synchronized<int> one{1};
    bool has_second = true;
    with_critical_section(here.token(), one, one, [&](entered<int> first, std::optional<entered<int>> second) {
        has_second = second.has_value();
        first.get() = 9;
    });
    CHECK_FALSE(has_second);
    CHECK(*one.lock() == 9);
}

TEST_CASE("sections on two values in opposite order do not deadlock") {
    start_python();
    synchronized<int> one, two;
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
    support::task other("the thread in the other order", [&] { swap_often(two, one); });
    run_on_thread([&] { swap_often(one, two); });
    other.join();
    CHECK(*one.lock() == 2000);
    CHECK(*two.lock() == 2000);
}
