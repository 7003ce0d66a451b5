// The C++ API: arenas.
#include <cstdio>
#include <memory>
#include <optional>
#include <sched.h>
#include <string>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/sanitizers.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::check_aborts;
using support::reference_count;
using support::start_python;

static_assert(!std::is_copy_constructible_v<arena> && !std::is_move_constructible_v<arena>);
static_assert(std::is_convertible_v<arena_token, token>);

namespace {

// A new reference, as a function of the C API returns.
struct _object *reference_to(struct _object *object) {
    EXPECT(pyattach_incref(object) == PYATTACH_OK);
    return object;
}

long resident_pages() {
    std::FILE *file = std::fopen("/proc/self/statm", "re");
    long all = 0, resident = 0;
    int read = std::fscanf(file, "%ld %ld", &all, &resident);
    std::fclose(file);
    EXPECT(read == 2);
    return resident;
}

} // namespace

TEST_CASE("an arena releases what it was given when it ends") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    {
        arena pool{py};
        auto py2 = pool.token();
        borrowed first = pool.from_owned_ptr(reference_to(object.get()));
        borrowed second = pool.from_owned_ptr_or_err(reference_to(object.get()));
        std::optional<borrowed> three = pool.from_owned_ptr_or_opt(reference_to(object.get()));
        borrowed four = py2.from_owned_ptr(reference_to(object.get()));
        borrowed five = py2.from_owned_ptr_or_err(reference_to(object.get()));
        std::optional<borrowed> six = py2.from_owned_ptr_or_opt(reference_to(object.get()));
        borrowed seven = pool.keep(object.copy(py)), eight = py2.keep(object.copy(py));
        std::optional<borrowed> nine = pool.keep(std::nothrow, object.copy(py));
        std::optional<borrowed> ten = py2.keep(std::nothrow, object.copy(py));
        for (borrowed each : {first, second, *three, four, five, *six, seven, eight, *nine, *ten})
            CHECK(each.get() == object.get());
        CHECK(pool.size() == 10);
        CHECK(reference_count(object.get()) == 11);
    }
    CHECK(reference_count(object.get()) == 1);
}

TEST_CASE("an arena leaves borrowed pointers to their owner") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    {
        arena pool{py};
        auto py2 = pool.token();
        CHECK(pool.from_borrowed_ptr(object.get()).get() == object.get());
        CHECK(pool.from_borrowed_ptr_or_err(object.get()).get() == object.get());
        CHECK(pool.from_borrowed_ptr_or_opt(object.get())->get() == object.get());
        CHECK(py2.from_borrowed_ptr(object.get()).get() == object.get());
        CHECK(pool.size() == 0);
    }
    CHECK(reference_count(object.get()) == 1);
}

TEST_CASE("an arena throws the pending exception for NULL, or answers with nothing") {
    start_python();
    attached here;
    token py = here.token();
    arena pool{py};
    auto py2 = pool.token();
    auto raise = [&] { REQUIRE(py.run(std::nothrow, "raise KeyError('why')") == PYATTACH_PYTHON_ERROR); };
    raise();
    CHECK_THROWS_WITH(pool.from_owned_ptr(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(pool.from_owned_ptr_or_err(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(pool.from_borrowed_ptr(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(pool.from_borrowed_ptr_or_err(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(py2.from_owned_ptr(nullptr), "KeyError: 'why'");
    raise();
    CHECK_FALSE(pool.from_owned_ptr_or_opt(nullptr));
    CHECK_FALSE(pool.from_borrowed_ptr_or_opt(nullptr));
    CHECK_FALSE(py2.from_owned_ptr_or_opt(nullptr));
    CHECK_THROWS_WITH(throw_if_raised(py), "KeyError: 'why'");
    CHECK_FALSE(pool.keep(owned()));
    CHECK_FALSE(pool.keep(std::nothrow, owned()));
    CHECK(pool.size() == 0);
}

TEST_CASE("nested arenas release only their own, and the newest first") {
    start_python();
    attached here;
    token py = here.token();
    py.run("order = []\nclass Named:\n    def __init__(self, name): self.name = name\n"
           "    def __del__(self): order.append(self.name)");
    auto named = [&](const char *name) { return py.call(py.eval("Named"), name); };
    {
        arena outer{py};
        outer.keep(named("a"));
        {
            arena inner{outer.token()};
            inner.keep(named("b"));
            outer.token().keep(named("c"));
            inner.token().keep(named("d"));
        }
        CHECK(py.to<std::string>(py.eval("' '.join(order)")) == "d b");
    }
    CHECK(py.to<std::string>(py.eval("' '.join(order)")) == "d b c a");
}

TEST_CASE("an arena keeps any number of references") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    {
        arena pool{py};
        for (int i = 0; i < 1000; ++i)
            pool.from_owned_ptr(reference_to(object.get()));
        CHECK(pool.size() == 1000);
        CHECK(reference_count(object.get()) == 1001);
    }
    CHECK(reference_count(object.get()) == 1);
}

TEST_CASE("a loop with an arena in each of a million rounds keeps memory flat") {
    start_python();
    attached here;
    token py = here.token();
    auto rounds = [&](int count, int items) {
        for (int i = 0; i < count; ++i) {
            arena pool{py};
            auto py2 = pool.token();
            for (int item = 0; item < items; ++item)
                py2.keep(py2.from(1000000 + i));
        }
    };
    rounds(1000, 40); // what is allocated once
    long before = resident_pages();
    rounds(1000000, 2);
    rounds(50000, 40); // more than fit without an allocation
    CHECK((!support::is_memory_telling || resident_pages() - before < 256));
}

TEST_CASE("an arena that ends detached leaves its references to the pool") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    std::optional<arena> pool;
    pool.emplace(py);
    pool->keep(object.copy(py));
    {
        detached gap{py};
        pool.reset();
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(reference_count(object.get()) == 1);
}

#if !defined(NDEBUG)
CHILD("uses the token of an arena that has ended") {
    start_python();
    attached here;
    std::optional<arena> pool;
    pool.emplace(here.token());
    auto inner = pool->token();
    pool.reset();
    pool.emplace(here.token()); // the same place, another arena
    EXPECT(pool->token().from_owned_ptr_or_opt(here.token().from(1).release()));
    inner.from_owned_ptr_or_opt(here.token().from(1).release());
}

TEST_CASE("a token used after its arena aborts with a sentence") {
    check_aborts("uses the token of an arena that has ended", {"arena_token", "its arena has ended"});
}
#endif

#if !defined(NDEBUG)
TEST_CASE("no two arenas share the storage of their liveness flag") {
    support::barrier start("the threads to start", 4);
    std::vector<std::unique_ptr<support::task>> threads;
    for (int i = 0; i < 4; ++i)
        threads.push_back(std::make_unique<support::task>("a thread with lives", [&] {
            start.arrive_and_wait();
            for (int n = 0; n < 100000; ++n) {
                detail::life flag;
                detail::life_seen seen = flag.see();
                if (n % 64 == 0)
                    sched_yield();
                EXPECT(seen.place->number == seen.number);
                EXPECT(seen.number % 2 == 1);
                flag.end();
            }
        }));
    for (auto &thread : threads)
        thread->join();
}
#endif

TEST_CASE("arenas of several threads do not know of each other") {
    start_python();
    std::vector<std::unique_ptr<support::task>> threads;
    for (int i = 0; i < 4; ++i)
        threads.push_back(std::make_unique<support::task>("a thread with arenas", [] {
            attached here;
            for (int n = 0; n < 2000; ++n) {
                arena outer{here.token()};
                auto py = outer.token();
                borrowed kept = py.keep(py.from(n + 1000));
                arena inner{py};
                inner.token().keep(py.from(n));
                EXPECT(py.to<int>(kept) == n + 1000);
            }
        }));
    for (auto &thread : threads)
        thread->join();
}
