// References: given back anywhere, released once somebody is attached.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

using namespace support;

// PyO3 test_pyobject_drop_attached_decreases_refcnt, explicit_drop_ref; v0.12
// test_pyobject_drop_with_gil_decreases_refcnt
TEST_CASE("a reference dropped on an attached thread is released at once and never enters the pool") {
    start_python();
    attached here;
    ref object = new_object();
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    CHECK(reference_count(object) == 2);
    CHECK(pyattach_pool_size() == 0);
    pyattach_decref(object);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

// PyO3 test_pyobject_drop_detached_doesnt_decrease_refcnt, test_detached_drop_is_collected_on_next_attach;
// v0.12 test_pyobject_drop_without_gil_doesnt_decrease_refcnt
TEST_CASE("a reference dropped on a detached thread waits in the pool until a thread attaches") {
    start_python();
    attached here;
    ref object = new_object();
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    {
        foreign_detach gap;
        run_on_thread([&] { pyattach_decref(object); });
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(pyattach_pool_size() == 1);
    CHECK(reference_count(object) == 2);
    { attached again; }
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

// PyO3 test_attach_guard_drop_deferred_references
TEST_CASE("a first attach, a nested one, an assumed one, an unchecked one and the end of a detached scope all drain "
          "the pool") {
    start_python();
    attached here;
    ref object = new_object();
    auto drop_elsewhere = [&] {
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        foreign_detach gap;
        pyattach_decref(object);
        REQUIRE(pyattach_pool_size() == 1);
    };
    SECTION("nested") {
        drop_elsewhere();
        attached nested;
        CHECK(pyattach_pool_size() == 0);
    }
    SECTION("assumed") {
        drop_elsewhere();
        pyattach_attached assumed;
        REQUIRE(pyattach_attached_assume(&assumed) == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
        pyattach_attached_end(&assumed);
    }
    SECTION("assumed, after a visit elsewhere") {
        sub_interpreter other;
        if (sees_switches())
            other.inside([] { attached there; });
        drop_elsewhere();
        pyattach_attached assumed;
        REQUIRE(pyattach_attached_assume(&assumed) == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
        pyattach_attached_end(&assumed);
    }
    SECTION("unchecked") {
        drop_elsewhere();
        pyattach_attached unchecked;
        REQUIRE(pyattach_attached_begin_unchecked(&unchecked) == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
        pyattach_attached_end(&unchecked);
    }
    SECTION("unchecked, and first") {
        drop_elsewhere();
        foreign_detach gap;
        run_on_thread([] {
            pyattach_attached unchecked;
            EXPECT(pyattach_attached_begin_unchecked(&unchecked) == PYATTACH_OK);
            const size_t waiting = pyattach_pool_size();
            pyattach_attached_end(&unchecked);
            EXPECT(waiting == 0);
        });
    }
    SECTION("first") {
        drop_elsewhere();
        foreign_detach gap;
        run_on_thread([] {
            attached there;
            CHECK(pyattach_pool_size() == 0);
        });
    }
    SECTION("detached") {
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        {
            detached gap;
            pyattach_decref(object);
        }
        CHECK(pyattach_pool_size() == 0);
    }
    SECTION("by hand") {
        drop_elsewhere();
        CHECK(pyattach_pool_drain() == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
    }
    CHECK(reference_count(object) == 1);
}

// PyO3 test_clone_attached; v0.12 test_clone_with_gil
// CPython test_incref_decref_API
TEST_CASE("references taken on an attached thread count at once, and a thousand of them balance") {
    start_python();
    attached here;
    ref object = new_object();
    CHECK(pyattach_incref(object) == PYATTACH_OK);
    CHECK(reference_count(object) == 2);
    for (int i = 0; i < 999; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    CHECK(reference_count(object) == 1001);
    for (int i = 0; i < 1000; ++i)
        pyattach_decref(object);
    CHECK(reference_count(object) == 1);
}

// PyO3 test_detach_updates_refcounts; v0.12 test_clone_without_gil, test_clone_in_other_thread, inverted
TEST_CASE("taking a reference is refused on a thread that is not attached, and changes no count") {
    start_python();
    attached here;
    ref object = new_object();
    {
        detached gap;
        CHECK(pyattach_incref(object) == PYATTACH_NOT_ATTACHED);
        run_on_thread([&] { CHECK(pyattach_incref(object) == PYATTACH_NOT_ATTACHED); });
    }
    CHECK(reference_count(object) == 1);
}

// PyO3 test_constructors_panic_on_null
TEST_CASE("taking NULL is refused, and dropping NULL is ignored") {
    start_python();
    attached here;
    CHECK(pyattach_incref(nullptr) == PYATTACH_INVALID);
    pyattach_decref(nullptr);
    pyattach_decref_in(pyattach_interpreter_main(), nullptr);
    detached gap;
    pyattach_decref(nullptr);
    CHECK(pyattach_pool_size() == 0);
}

TEST_CASE("dropping into the interpreter named is immediate only where it is the current one") {
    start_python();
    attached here;
    pyattach_interpreter *main = pyattach_interpreter_main();
    ref object = new_object();
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    pyattach_decref_in(main, object);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    pyattach_decref_in(nullptr, object);
    CHECK(reference_count(object) == 1);
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    {
        detached gap;
        pyattach_decref_in(main, object);
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(reference_count(object) == 1);
}
