// The C++ API: owned and borrowed references.
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::reference_count;
using support::run_on_thread;
using support::start_python;

static_assert(!std::is_copy_constructible_v<owned> && !std::is_copy_assignable_v<owned>, "copies are made in words");
static_assert(std::is_nothrow_move_constructible_v<owned> && std::is_nothrow_move_assignable_v<owned> &&
              std::is_nothrow_swappable_v<owned> && std::is_nothrow_default_constructible_v<owned>);
static_assert(!std::is_convertible_v<struct ::_object *, owned> && !std::is_constructible_v<owned, struct ::_object *>,
              "ownership is a verb");
static_assert(!std::is_default_constructible_v<borrowed> && !std::is_constructible_v<borrowed, struct ::_object *> &&
                  !std::is_constructible_v<borrowed, const owned &>,
              "a borrowed needs a token");
static_assert(!std::is_constructible_v<borrowed, token, owned>, "a temporary keeps nothing alive");
static_assert(std::is_trivially_copyable_v<borrowed> && sizeof(borrowed) == sizeof(void *));

TEST_CASE("steal takes a reference over, borrow adds one, release gives it up") {
    start_python();
    attached here;
    token py = here.token();
    support::ref object = support::new_object();
    {
        owned added = owned::borrow(py, object.get());
        CHECK(added.get() == object.get());
        CHECK(reference_count(object) == 2);
        owned stolen = owned::steal(py, added.release());
        CHECK_FALSE(added);
        CHECK(added.interpreter() == nullptr);
        CHECK(stolen);
        CHECK(reference_count(object) == 2);
    }
    CHECK(reference_count(object) == 1);
    CHECK_FALSE(owned::steal(py, nullptr));
    CHECK_FALSE(owned::borrow(py, nullptr));
}

TEST_CASE("an owned knows its interpreter") {
    start_python();
    owned kept;
    CHECK(kept.interpreter() == nullptr);
    {
        attached here;
        kept = here.token().eval("object()");
    }
    CHECK(kept.interpreter() == pyattach_interpreter_main());
}

TEST_CASE("a moved owned leaves nothing behind") {
    start_python();
    attached here;
    token py = here.token();
    owned first = py.eval("object()");
    struct _object *object = first.get();
    owned second = std::move(first);
    CHECK_FALSE(first);
    CHECK(first.interpreter() == nullptr);
    CHECK(second.get() == object);
    CHECK(reference_count(object) == 1);
    swap(first, second);
    CHECK(first.get() == object);
    CHECK_FALSE(second);
    CHECK(second.interpreter() == nullptr);
}

TEST_CASE("an owned survives being assigned to itself") {
    start_python();
    attached here;
    owned reference = here.token().eval("object()");
    struct _object *object = reference.get();
    owned &same = reference;
    reference = std::move(same);
    CHECK(reference.get() == object);
    CHECK(reference.interpreter() != nullptr);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("assignment takes the new one in before it releases the old one") {
    start_python();
    attached here;
    token py = here.token();
    static owned slot;
    static struct _object *seen;
    seen = nullptr;
    support::ref look = support::native_function([] { seen = slot.get(); });
    support::publish("look_at_slot", look);
    py.run("class Looking:\n    def __del__(self): look_at_slot()");
    slot = py.eval("Looking()");
    owned next = py.eval("object()");
    struct _object *expected = next.get();
    slot = std::move(next);
    CHECK(seen == expected);
    slot.reset();
}

TEST_CASE("a copy needs a token and counts at once") {
    start_python();
    attached here;
    owned first = here.token().eval("object()");
    owned second = first.copy(here.token());
    CHECK(second.get() == first.get());
    CHECK(second.interpreter() == first.interpreter());
    CHECK(reference_count(first.get()) == 2);
    second.reset();
    CHECK_FALSE(second);
    CHECK(reference_count(first.get()) == 1);
    CHECK_FALSE(owned().copy(here.token()));
}

TEST_CASE("an owned may be destroyed on a thread that never attached") {
    start_python();
    owned kept, moved;
    {
        attached here;
        kept = here.token().eval("object()");
        moved = kept.copy(here.token());
    }
    std::thread([gone = std::move(moved)] {}).join();
    CHECK(pyattach_pool_size() == 1);
    attached here;
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(kept.get()) == 1);
}

TEST_CASE("owneds live in containers") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.eval("object()");
    std::vector<owned> many;
    for (int i = 0; i < 100; ++i)
        many.push_back(reference.copy(py));
    CHECK(reference_count(reference.get()) == 101);
    many.erase(many.begin(), many.begin() + 50);
    CHECK(reference_count(reference.get()) == 51);
    many.clear();
    CHECK(reference_count(reference.get()) == 1);
}

TEST_CASE("a borrowed counts nothing") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.eval("object()");
    borrowed seen{py, reference}, same{py, reference.get()}, none{py, nullptr};
    CHECK(seen.get() == reference.get());
    CHECK(same);
    CHECK_FALSE(none);
    CHECK(reference_count(reference.get()) == 1);
    owned kept = owned::borrow(py, seen);
    CHECK(reference_count(reference.get()) == 2);
}

TEST_CASE("an owned outlives the scope in which it was made and is used in the next one") {
    start_python();
    owned kept = with_attached([](token py) { return py.eval("[1, 2, 3]"); });
    run_on_thread([&] {
        attached here;
        CHECK(here.token().to<int>(here.token().call_method(kept, "__len__")) == 3);
    });
}
