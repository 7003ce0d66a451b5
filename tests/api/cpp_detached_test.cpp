// The C++ API: detached scopes.
#include <stdexcept>
#include <string>
#include <type_traits>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::check_succeeds;
using support::latch;
using support::run_on_thread;
using support::start_python;
using support::task;

static_assert(!std::is_copy_constructible_v<detached> && !std::is_move_constructible_v<detached> &&
              !std::is_copy_assignable_v<detached> && !std::is_move_assignable_v<detached>);
static_assert(!std::is_convertible_v<token, detached>, "detaching is never an accident");

TEST_CASE("a detached scope detaches its thread for the life of a block") {
    start_python();
    attached here;
    {
        detached gap{here.token()};
        CHECK(gap);
        CHECK(gap.status() == PYATTACH_OK);
        CHECK_FALSE(support::cpython_says_attached());
        {
            attached inside;
            CHECK(support::cpython_says_attached());
            CHECK(pyattach_attach_depth() == 1);
        }
        CHECK_FALSE(support::cpython_says_attached());
    }
    CHECK(support::cpython_says_attached());
}

TEST_CASE("another thread runs Python during a detached scope") {
    start_python();
    attached here;
    token py = here.token();
    py.run("detached_words = []");
    detached gap{py};
    run_on_thread([] {
        attached there;
        there.token().run("detached_words.append('from the other thread')");
    });
    CHECK(gap.resume() == PYATTACH_OK);
    CHECK(py.to<std::string>(py.eval("detached_words[0]")) == "from the other thread");
}

TEST_CASE("an exception that leaves a detached scope finds the thread attached again") {
    start_python();
    attached here;
    token py = here.token();
    owned kept = py.eval("object()");
    try {
        detached gap{py};
        throw std::runtime_error("on the way");
    } catch (const std::runtime_error &) {
        CHECK(support::cpython_says_attached());
        CHECK(support::reference_count(kept.get()) == 1);
    }
}

TEST_CASE("resume attaches again once and says the same when asked again") {
    start_python();
    attached here;
    detached gap{here.token()};
    CHECK(gap.resume() == PYATTACH_OK);
    CHECK_FALSE(gap);
    CHECK(pyattach_is_attached());
    CHECK(gap.resume() == PYATTACH_OK);
    CHECK(gap.status() == PYATTACH_OK);
    CHECK(pyattach_is_attached());
}

TEST_CASE("references dropped in a detached scope are released when it ends") {
    start_python();
    attached here;
    token py = here.token();
    py.run("class Noisy:\n    gone = 0\n    def __del__(self): Noisy.gone += 1");
    owned noisy = py.eval("Noisy()");
    {
        detached gap{py};
        noisy.reset();
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(py.to<int>(py.eval("Noisy.gone")) == 1);
}

TEST_CASE("a refused detached scope throws its status, or has it when told not to throw") {
    start_python();
    attached here;
    token py = here.token();
    forbidden traversing;
    detached gap{std::nothrow, py};
    CHECK_FALSE(gap);
    CHECK(gap.status() == PYATTACH_FORBIDDEN);
    CHECK(gap.resume() == PYATTACH_FORBIDDEN);
    try {
        detached refused{py};
        FAIL("detached while forbidden");
    } catch (const error &why) {
        CHECK(why.status() == PYATTACH_FORBIDDEN);
    }
}

// A native thread opens a detached scope, Python finalizes, and the thread re-attaches afterwards.
template <class Function> void come_back_too_late(Function come_back, bool returns) {
    start_python();
    latch in_gap("the thread to detach"), ended("Python to end");
    bool came_back = false;
    auto *late = new task("a thread that comes back too late", [&] {
        attached here;
        owned kept = here.token().eval("[]");
        come_back(here.token(), [&] {
            in_gap.count_down();
            ended.wait();
        });
        came_back = true;
    });
    in_gap.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    if (returns)
        late->join();
    else
        late->wait_until_asleep();
    EXPECT(came_back == returns);
    support::end_child();
}

CHILD("resumes after the end of Python") {
    come_back_too_late(
        [](token py, auto wait) {
            detached gap{py};
            wait();
            EXPECT(gap.resume() == PYATTACH_FINALIZING);
            EXPECT(gap.resume() == PYATTACH_FINALIZING);
            EXPECT(!pyattach_is_attached());
        },
        true);
}

TEST_CASE("a detached scope that outlives its interpreter returns FINALIZING, and the scopes around it unwind") {
    check_succeeds("resumes after the end of Python");
}

CHILD("leaves a gap after the end of Python") {
    come_back_too_late(
        [](token py, auto wait) {
            detached gap{py};
            wait();
        },
        false);
}

TEST_CASE("the destructor of a detached scope that outlives its interpreter never returns") {
    check_succeeds("leaves a gap after the end of Python");
}

CHILD("throws out of a gap after the end of Python") {
    come_back_too_late(
        [](token py, auto wait) {
            try {
                detached gap{py};
                wait();
                throw std::runtime_error("from inside");
            } catch (const std::runtime_error &) {
            }
        },
        false);
}

TEST_CASE("an exception does not leave a detached scope that outlives its interpreter") {
    check_succeeds("throws out of a gap after the end of Python");
}

// py.detach of a function that returns `Result`.
template <class Result> void come_back_from_detach() {
    static int referred;
    come_back_too_late(
        [](token py, auto wait) {
            try {
                py.detach_unchecked([&]() -> Result {
                    wait();
                    if constexpr (std::is_reference_v<Result>)
                        return referred;
                    else
                        return Result();
                });
                EXPECT(false);
            } catch (const error &why) {
                EXPECT(why.status() == PYATTACH_FINALIZING);
                EXPECT(!pyattach_is_attached());
            }
            EXPECT(py.detach_unchecked(std::nothrow, [] {}) == PYATTACH_NOT_ATTACHED);
        },
        true);
}

CHILD("comes back from py.detach after the end of Python") { come_back_from_detach<void>(); }
CHILD("comes back from py.detach with a value after the end of Python") { come_back_from_detach<std::string>(); }
CHILD("comes back from py.detach with a reference after the end of Python") { come_back_from_detach<int &>(); }
CHILD("comes back from py.detach with a status after the end of Python") {
    come_back_too_late(
        [](token py, auto wait) {
            EXPECT(py.detach_unchecked(std::nothrow, [&] { wait(); }) == PYATTACH_FINALIZING);
            EXPECT(!pyattach_is_attached());
        },
        true);
}

TEST_CASE("a detached_guard detaches an attached thread for the life of a block") {
    start_python();
    attached here;
    {
        detached_guard gap;
        CHECK_FALSE(support::cpython_says_attached());
    }
    CHECK(support::cpython_says_attached());
}

CHILD("comes back from a detached_guard after the end of Python") {
    start_python();
    latch in_gap("the thread to detach"), ended("Python to end");
    bool has_returned = false;
    auto *late = new task("a thread in a guarded function", [&] {
        attached here;
        {
            detached_guard gap;
            in_gap.count_down();
            ended.wait();
        }
        has_returned = true;
    });
    in_gap.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    late->wait_until_asleep();
    EXPECT(!has_returned);
    support::end_child();
}
TEST_CASE("a detached_guard parks a thread that comes back after Python has ended") {
    check_succeeds("comes back from a detached_guard after the end of Python");
}

#if !defined(NDEBUG)
CHILD("makes a detached_guard on a thread that is not attached") {
    start_python();
    detached_guard gap;
}
TEST_CASE("a detached_guard needs an attached thread") {
    support::check_aborts("makes a detached_guard on a thread that is not attached", {"token::assume"});
}
#endif

TEST_CASE("py.detach says FINALIZING when the interpreter ended meanwhile") {
    check_succeeds("comes back from py.detach after the end of Python");
    check_succeeds("comes back from py.detach with a value after the end of Python");
    check_succeeds("comes back from py.detach with a reference after the end of Python");
    check_succeeds("comes back from py.detach with a status after the end of Python");
}
