// The C++ API: locking several mutexes at once.
#include <mutex>
#include <sched.h>
#include <shared_mutex>
#include <tuple>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/every_thread.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace pyattach;
using support::detaches;
using support::latch;
using support::on_every_kind_of_thread;
using support::run_on_threads;
using support::start_python;
using support::task;

TEST_CASE("several free mutexes are locked without detaching") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex plain;
    mutex ours;
    std::shared_mutex shared;
    const std::uint64_t before = detaches();
    {
        auto [first, second, third] = lock_detached(py, plain, ours, shared);
        CHECK((first.owns_lock() && second.owns_lock() && third.owns_lock()));
        CHECK(ours.is_locked());
    }
    CHECK_FALSE(ours.is_locked());
    CHECK(std::get<1>(lock_detached(std::nothrow, py, plain, ours)).owns_lock());
    CHECK(std::get<0>(lock_detached(plain, ours)).owns_lock());
    CHECK(std::get<0>(lock_detached(std::nothrow, plain, ours)).owns_lock());
    CHECK(detaches() == before);
}

TEST_CASE("a thread that waits for several mutexes holds none of them, and lets their owners use Python") {
    start_python();
    for (int held_one = 0; held_one < 3; ++held_one)
        on_every_kind_of_thread([&] {
            std::mutex a, b;
            mutex c;
            latch is_held("one to be held"), wanted("all to be wanted");
            task owner("the owner to end", [&] {
                std::unique_lock<std::mutex> first(a, std::defer_lock), second(b, std::defer_lock);
                std::unique_lock<mutex> third(c, std::defer_lock);
                held_one == 0 ? first.lock() : held_one == 1 ? second.lock() : third.lock();
                is_held.count_down();
                wanted.wait();
                attached here;
                here.token().run("pass");
                detached gap{here.token()};
                for (int other = 0; other < 3; ++other) // the waiting thread keeps none of the others
                    if (other != held_one)
                        other == 0 ? first.lock() : other == 1 ? second.lock() : third.lock();
            });
            is_held.wait();
            wanted.count_down();
            {
                auto held = lock_detached(a, b, c);
                EXPECT(std::get<0>(held).owns_lock() && std::get<1>(held).owns_lock() && std::get<2>(held).owns_lock());
            }
            if (!pyattach_is_attached())
                return;
            detached gap{token::assume()};
            owner.join();
        });
}

TEST_CASE("threads that lock the same mutexes in every order do not deadlock, attached or not") {
    start_python();
    mutex a, b, c;
    int counted = 0;
    const auto count = [&] {
        if (++counted % 4 == 0)
            sched_yield();
    };
    run_on_threads(4, "the threads that lock to end", [&](int thread) {
        for (int round = 0; round < 300; ++round) {
            const auto visit = [&](auto &first, auto &second, auto &third) {
                if ((round + thread) % 3 == 0) {
                    std::scoped_lock all(first, second, third); // of the standard library, over mutexes of this one
                    count();
                } else {
                    auto all = lock_detached(first, second, third);
                    count();
                }
            };
            const auto visit_in_order = [&] {
                switch (round % 3) {
                case 0:
                    return visit(a, b, c);
                case 1:
                    return visit(c, b, a);
                default:
                    return visit(b, c, a);
                }
            };
            if (thread % 2) {
                visit_in_order();
                continue;
            }
            attached here;
            visit_in_order();
        }
    });
    CHECK(counted == 4 * 300);
}

TEST_CASE("std::scoped_lock over mutexes of this library does not deadlock against Python") {
    start_python();
    mutex a, b;
    latch is_held("one to be held"), wanted("both to be wanted");
    task owner("the owner to end", [&] {
        locked held{b};
        is_held.count_down();
        wanted.wait();
        attached here;
        here.token().run("pass");
    });
    is_held.wait();
    attached here;
    wanted.count_down();
    {
        std::scoped_lock both(a, b);
        CHECK((a.is_locked() && b.is_locked()));
    }
    detached gap{here.token()};
    owner.join();
}
