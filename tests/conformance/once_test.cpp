// Group 6, the rest: the once, and rules for all locks.
#include "conformance/conformance.hpp"

#include <functional>
#include <optional>
#include <stdexcept>

namespace {

// A value that counts its destruction, wherever it was moved to.
struct counted {
    explicit counted(int &ends) : ends_(&ends) {}
    counted(counted &&other) noexcept : ends_(std::exchange(other.ends_, nullptr)) {}
    ~counted() {
        if (ends_)
            ++*ends_;
    }
    int *ends_;
};

} // namespace

TEST_CASE("CPython test_lock_once") {
    pyattach_once once = PYATTACH_ONCE_INIT;
    int calls = 0;
    auto init = [](void *arg) { return ++*static_cast<int *>(arg) < 5 ? PYATTACH_NO_MEMORY : PYATTACH_OK; };
    for (int i = 1; i < 5; ++i)
        CHECK(pyattach_once_run(&once, init, &calls) == PYATTACH_NO_MEMORY);
    for (int i = 0; i < 3; ++i)
        CHECK(pyattach_once_run(&once, init, &calls) == PYATTACH_OK);
    auto other_init = [](void *) { return PYATTACH_INVALID; };
    CHECK(pyattach_once_run(&once, other_init, nullptr) == PYATTACH_OK); // not run
    CHECK(calls == 5);
}

TEST_CASE("PyO3 test_once_ext") {
    start_python();
    pyattach::once once;
    CHECK_THROWS_AS(once.run([] { throw std::runtime_error("not this time"); }), std::runtime_error);
    latch inside("the initializer to run"), waiter_waits("the waiter to wait");
    std::atomic<int> runs{0};
    std::atomic<bool> was_attached{false};
    task first("the initializing thread to end", [&] {
        attached here;
        once.run([&] {
            was_attached = cpython_says_attached();
            {
                detached gap;
                inside.count_down();
                waiter_waits.wait();
            }
            EXPECT(eval_int("1") == 1); // the waiter does not keep Python from it
            ++runs;
        });
    });
    inside.wait();
    task second("the waiting thread to end", [&] {
        attached here;
        once.run([&] { ++runs; });
        EXPECT(runs == 1);
        EXPECT(cpython_says_attached());
    });
    second.wait_until_asleep();
    {
        attached third;
        CHECK(eval_int("2") == 2);
    }
    waiter_waits.count_down();
    first.join();
    second.join();
    once.run([&] { ++runs; });
    CHECK(runs == 1);
    CHECK(was_attached);
}

TEST_CASE("PyO3 test_once_lock_ext") {
    start_python();
    pyattach::once_value<int> value;
    std::atomic<int> makers{0}, saw_it{0};
    barrier together("all threads to be ready", 5);
    run_on_threads(5, "a thread to end", [&](int i) {
        std::optional<attached> outer; // every second thread waits for the value without being attached
        together.arrive_and_wait();
        if (i % 2)
            outer.emplace();
        int got = value.get_or_make([&] {
            ++makers;
            attached here;
            int made = static_cast<int>(eval_int("40 + 2"));
            detached gap;
            sched_yield();
            return made;
        });
        EXPECT(cpython_says_attached() == outer.has_value());
        saw_it += got == 42;
    });
    CHECK(makers == 1);
    CHECK(saw_it == 5);
}

TEST_CASE("PyO3 sync test_once_cell") {
    pyattach::once_value<int> cell;
    CHECK(cell.get() == nullptr);
    CHECK_THROWS_AS(cell.get_or_make([]() -> int { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK(cell.get() == nullptr);
    CHECK(cell.get_or_make([] { return 2; }) == 2);
    CHECK(cell.get_or_make([]() -> int { throw std::runtime_error("not run"); }) == 2);
    CHECK(*cell.get() == 2);
}
TEST_CASE("PyO3 sync test_once_cell_drop") {
    int ends = 0;
    {
        pyattach::once_value<counted> cell;
        cell.get_or_make([&] { return counted(ends); });
        CHECK(ends == 0);
    }
    CHECK(ends == 1);
}
TEST_CASE("PyO3 once_lock test_once_cell") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    pyattach::once_value<pyattach::owned> cell;
    CHECK(cell.get() == nullptr);
    CHECK(cell.set(py.eval("[1]")));
    CHECK_FALSE(cell.set(py.eval("[2]")));
    pyattach::owned second = cell.get()->copy(py);
    CHECK(reference_count(second.get()) == 2);
    CHECK(&cell.get_or_make([&] { return py.eval("[3]"); }) == cell.get());
    std::optional<pyattach::owned> taken = cell.take();
    REQUIRE(taken.has_value());
    CHECK(taken->get() == second.get());
    CHECK(cell.get() == nullptr);
    CHECK_FALSE(cell.take().has_value());
    CHECK(cell.get_or_make([&] { return py.eval("[4]"); }).get() != second.get());
}
TEST_CASE("PyO3 once_lock test_once_cell_drop") {
    start_python();
    pyattach::attached here;
    pyattach::owned value = here.token().eval("object()");
    {
        pyattach::once_value<pyattach::owned> cell;
        CHECK(cell.set(value.copy(here.token())));
        CHECK(reference_count(value.get()) == 2);
    }
    CHECK(reference_count(value.get()) == 1);
}

TEST_CASE("PyO3 test_intern") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    int made = 0;
    auto site = [&]() -> struct ::_object * {
        static pyattach::once_value<pyattach::owned> text;
        pyattach::owned &it = text.get_or_make([&] {
            ++made;
            return py.eval("__import__('sys').intern('interned_here')");
        });
        return it.get();
    };
    struct ::_object *first = site();
    may_leak(first); // a static object drops it, when Python has ended
    CHECK(site() == first);
    CHECK(site() == first);
    CHECK(made == 1);
    CHECK(py.eval("__import__('sys').intern('interned_' + 'here')").get() == first);
}

TEST_CASE("ext: no flush under a user's lock") {
    start_python();
    attached here;
    run("died = []");
    for (bool ours : {true, false}) {
        INFO("our mutex " << ours);
        run("died.clear()");
        ref victim = object_with_finalizer("died.append(1)");
        std::mutex theirs;
        pyattach::mutex our_mutex;
        ours ? our_mutex.lock() : theirs.lock();
        latch waits("the locker to be attached");
        std::atomic<std::int64_t> died_under_lock{-1};
        task locker("the locker to end", [&] {
            pyattach::attached there;
            waits.count_down();
            std::unique_lock<std::mutex> held;
            if (ours)
                our_mutex.lock();
            else
                held = pyattach::lock_detached(there.token(), theirs);
            died_under_lock = eval_int("len(died)");
            if (ours)
                our_mutex.unlock();
        });
        {
            detached gap;
            waits.wait();
            locker.wait_until_asleep();
            victim.drop(); // from now on it waits in the pool
            ours ? our_mutex.unlock() : theirs.unlock();
            locker.join();
        }
        CHECK(died_under_lock == 0);
        CHECK(eval_int("len(died)") == 1);
    }
}

CHILD("a locker whose re-attach is refused") {
    start_python();
    pyattach_set_exit_timeout(1000000);
    static std::mutex mutex;
    mutex.lock();
    latch inside("the locker to be attached");
    task locker("the locker to end", [&] {
        pyattach::attached here{std::nothrow};
        EXPECT(here);
        inside.count_down();
        auto held = pyattach::lock_detached(std::nothrow, here.token(), mutex);
        EXPECT(!held.owns_lock());
        EXPECT(!cpython_says_attached());
    });
    inside.wait();
    locker.wait_until_asleep();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    mutex.unlock();
    locker.join();
    EXPECT(mutex.try_lock()); // others can still take it
    mutex.unlock();
}
TEST_CASE("ext: gate closed while waiting") { check_succeeds("a locker whose re-attach is refused"); }

TEST_CASE("ext: first use without contention") {
    start_python();
    pyattach::attached here;
    auto before = all_counters();
    pyattach::mutex our_mutex;
    our_mutex.lock();
    our_mutex.unlock();
    std::mutex theirs;
    pyattach::lock_detached(here.token(), theirs).unlock();
    pyattach::once once;
    once.run([] {});
    pyattach::once_value<int> value;
    value.get_or_make([] { return 1; });
    CHECK(all_counters().detaches == before.detaches);
}
