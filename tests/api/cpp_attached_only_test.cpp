// The C++ API: attached_only, a value that is destroyed on an attached thread.
#include <atomic>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/housekeeping.hpp"
#include "support/python.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::run_on_thread;
using support::start_python;

namespace {

std::atomic<int> alive, ended, ended_detached;

// What another library's object is: one whose destructor needs an attached thread.
class probe {
  public:
    explicit probe(std::string text = "") : text(std::move(text)) { ++alive; }
    probe(probe &&other) noexcept : text(std::move(other.text)) { ++alive; }
    probe &operator=(probe &&) = delete;
    ~probe() {
        --alive;
        ++ended;
        if (!support::cpython_says_attached())
            ++ended_detached;
    }
    std::string text;
};

attached_only<probe> make(const char *text = "kept") {
    attached here;
    attached_only<probe> made{here.token(), probe(text)};
    ended = ended_detached = 0;
    return made;
}

} // namespace

static_assert(std::is_nothrow_copy_constructible_v<attached_only<probe>> &&
              std::is_nothrow_move_assignable_v<attached_only<probe>> &&
              std::is_nothrow_default_constructible_v<attached_only<probe>>);
static_assert(!std::is_constructible_v<attached_only<probe>, probe>, "a token proves that the thread is attached");
static_assert(detach_safe<attached_only<probe>>::value);

TEST_CASE("an attached_only keeps its value for those who have a token") {
    start_python();
    attached_only<probe> first = make(), second = first, none;
    attached here;
    CHECK(first.get(here.token())->text == "kept");
    CHECK(second.get(here.token()) == first.get(here.token()));
    CHECK(first.interpreter() == pyattach_interpreter_main());
    CHECK(none.get(here.token()) == nullptr);
    CHECK_FALSE(none);
    CHECK(none.interpreter() == nullptr);
    swap(first, none);
    CHECK_FALSE(first);
    CHECK(none);
}

TEST_CASE("the last copy on an attached thread destroys the value at once") {
    start_python();
    attached_only<probe> first = make(), second = first;
    attached here;
    first.reset();
    CHECK(alive == 1);
    second = attached_only<probe>();
    CHECK(alive == 0);
    CHECK(ended == 1);
    CHECK(ended_detached == 0);
    // The thread that made it does not attach meanwhile.
    auto *other = new attached_only<probe>{here.token(), probe("made here")};
    detached gap{here.token()};
    run_on_thread([&] {
        attached there;
        delete other;
        EXPECT(alive == 0);
    });
}

TEST_CASE("a value that is given up on a detached thread is destroyed by a thread that attaches") {
    start_python();
    attached_only<probe> kept = make();
    std::function<void()> function = [kept] {};
    std::vector<std::function<void()>> copies(5, function);
    kept.reset();
    function = nullptr;
    run_on_thread([&] {
        copies.clear();
        EXPECT(!pyattach_is_attached());
    });
    CHECK(alive == 1);
    CHECK(pyattach_pool_size() == 1);
    attached here;
    CHECK(alive == 0);
    CHECK(ended == 1);
    CHECK(ended_detached == 0);
}

TEST_CASE("housekeeping destroys what is given up while no thread attaches") {
    start_python();
    attached_only<probe> kept = make();
    support::housekeeping on;
    run_on_thread([&] { kept.reset(); });
    if (!support::is_free_threaded()) // which leaves an object to the thread that made it
        support::wait_until("the value to be destroyed", [] { return alive == 0; });
    attached here;
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    support::run("pass");
    CHECK(alive == 0);
    CHECK(ended_detached == 0);
}

TEST_CASE("a value is destroyed while its own interpreter is current") {
    start_python();
    attached_only<probe> kept = make();
    attached here;
    support::sub_interpreter other;
    {
        attached there{other.handle()};
        REQUIRE(pyattach_interpreter_current() != kept.interpreter());
        kept.reset();
        CHECK(alive == 1);
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(alive == 0);
}

TEST_CASE("a value may be given up while tp_traverse runs") {
    start_python();
    attached_only<probe> kept = make();
    attached here;
    {
        forbidden traversing;
        kept.reset();
        CHECK(alive == 1);
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(alive == 0);
}

TEST_CASE("where no finalizer can be made the value is destroyed at once") {
    start_python();
    attached here;
    token py = here.token();
    forbidden traversing;
    CHECK_THROWS_AS((attached_only<probe>{py, probe()}), error);
    CHECK_FALSE(attached_only<probe>{std::nothrow, py, probe()});
    CHECK(alive == 0);
}

TEST_CASE("many threads share a value, and the last of them destroys it once") {
    start_python();
    attached_only<probe> kept = make();
    support::run_on_threads(8, "threads that share a value", [own = std::move(kept)](int number) {
        for (int i = 0; i < 200; ++i) {
            attached_only<probe> copy = own;
            if (i % 50 == number) {
                attached here;
                EXPECT(copy.get(here.token())->text == "kept");
            }
        }
    });
    attached here;
    CHECK(alive == 0);
    CHECK(ended == 1);
    CHECK(ended_detached == 0);
}

CHILD("gives a value up after the end of Python") {
    start_python();
    std::vector<attached_only<probe>> many(3, make());
    attached_only<probe> dropped = make();
    run_on_thread([&] { dropped.reset(); });
    EXPECT(alive == 2);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(alive == 1); // the exit released the pool
    EXPECT(ended_detached == 0);
    const auto leaked = support::all_counters().drops_leaked;
    many.clear();
    EXPECT(alive == 1);
    EXPECT(support::all_counters().drops_leaked == leaked + 1);
}
TEST_CASE("a value that outlives Python is leaked and counted, and never destroyed") {
    support::check_succeeds("gives a value up after the end of Python");
}
