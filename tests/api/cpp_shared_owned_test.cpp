// The C++ API: shared_owned, a reference that any thread may copy.
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace pyattach;
using support::reference_count;
using support::run_on_thread;
using support::start_python;

static_assert(std::is_nothrow_copy_constructible_v<shared_owned> && std::is_nothrow_copy_assignable_v<shared_owned> &&
              std::is_nothrow_move_constructible_v<shared_owned> && std::is_nothrow_move_assignable_v<shared_owned> &&
              std::is_nothrow_default_constructible_v<shared_owned> && std::is_nothrow_swappable_v<shared_owned>);
static_assert(std::is_convertible_v<owned, shared_owned> && !std::is_convertible_v<const owned &, shared_owned>,
              "an owned is moved in");
static_assert(!std::is_constructible_v<shared_owned, struct ::_object *>, "ownership is a verb");
static_assert(sizeof(shared_owned) == sizeof(void *));
static_assert(detach_safe<shared_owned>::value && detach_safe<std::vector<shared_owned>>::value);

TEST_CASE("copies of a shared_owned share one reference") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    struct _object *pointer = object.get();
    shared_owned first = std::move(object);
    CHECK_FALSE(object);
    shared_owned second = first, third;
    third = second;
    CHECK(first.get() == pointer);
    CHECK(third.get() == pointer);
    CHECK(third.interpreter() == pyattach_interpreter_main());
    CHECK(reference_count(pointer) == 1);
    owned own = third.copy(py);
    CHECK(reference_count(pointer) == 2);
    first.reset();
    second.reset();
    CHECK_FALSE(first);
    CHECK(reference_count(pointer) == 2);
    third = shared_owned();
    CHECK(reference_count(pointer) == 1);
}

TEST_CASE("an empty shared_owned has no object, no interpreter and no copy") {
    start_python();
    shared_owned none, copy = none, made = owned();
    CHECK_FALSE(copy);
    CHECK_FALSE(made);
    CHECK(none.get() == nullptr);
    CHECK(none.interpreter() == nullptr);
    CHECK(none == made);
    attached here;
    CHECK_FALSE(none.copy(here.token()));
}

TEST_CASE("a shared_owned is an argument like an owned") {
    start_python();
    attached here;
    token py = here.token();
    shared_owned length = py.eval("len"), list = py.eval("[1, 2]");
    CHECK(py.to<int>(py.call(length, list)) == 2);
    CHECK(length != list);
    swap(length, list);
    CHECK(py.to<int>(py.call(list, length)) == 2);
    list = *&list;
    CHECK(py.to<int>(py.call(list, length)) == 2);
}

TEST_CASE("threads that are not attached copy, move and destroy a shared_owned") {
    start_python();
    shared_owned kept;
    {
        attached here;
        kept = here.token().eval("object()");
    }
    support::run_on_threads(4, "threads that copy", [&](int) {
        std::vector<shared_owned> many;
        for (int i = 0; i < 1000; ++i)
            many.push_back(kept);
        std::map<int, shared_owned> byNumber{{1, many.back()}, {2, std::move(many.front())}};
        std::optional<shared_owned> maybe = byNumber[2];
        std::function<struct _object *()> function = [maybe] { return maybe->get(); }, copy = function;
        EXPECT(copy() == kept.get());
        EXPECT(!pyattach_is_attached());
    });
    CHECK(pyattach_pool_size() == 0);
    {
        attached here;
        CHECK(reference_count(kept.get()) == 1);
    }
    run_on_thread([&] { kept.reset(); });
    CHECK(pyattach_pool_size() == 1);
    attached here;
    CHECK(pyattach_pool_size() == 0);
}

TEST_CASE("assignment shares the new object before the old one is released") {
    start_python();
    attached here;
    token py = here.token();
    static shared_owned slot;
    static struct _object *seen;
    support::ref look = support::native_function([] { seen = slot.get(); });
    support::publish("look_at_shared_slot", look);
    py.run("class SharedLooking:\n    def __del__(self): look_at_shared_slot()");
    slot = py.eval("SharedLooking()");
    shared_owned next = py.eval("object()");
    slot = next;
    CHECK(seen == next.get());
    slot.reset();
}

CHILD("drops shared references after the end of Python") {
    start_python();
    std::function<void()> function;
    std::vector<shared_owned> many;
    {
        attached here;
        shared_owned object = here.token().eval("object()");
        many.assign(10, object);
        function = [object] { static_cast<void>(object.get()); };
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    const auto leaked = support::all_counters().drops_leaked;
    shared_owned late = many.front();
    many.clear();
    run_on_thread([&] { function = nullptr; });
    EXPECT(support::all_counters().drops_leaked == leaked);
    late.reset();
    EXPECT(support::all_counters().drops_leaked == leaked + 1);
}
TEST_CASE("shared references that outlive Python are copied and dropped, and counted once") {
    support::check_succeeds("drops shared references after the end of Python");
}
