// References: a decref on any thread, released by the next drain on an attached one.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

using namespace support;

// A nested and an assumed attach: conformance, "PyO3 test_attach_guard_drop_deferred_references".
TEST_CASE("a thread's first attach, an unchecked one, an assumed one after a switch, the end of a detached scope and "
          "pyattach_pool_drain drain the pool") {
    start_python();
    attached here;
    ref object = new_object();
    auto drop_elsewhere = [&] {
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        foreign_detach gap;
        pyattach_decref(object);
        REQUIRE(pyattach_pool_size() == 1);
    };
    SECTION("assumed, after a switch to a sub-interpreter and back") {
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

TEST_CASE("a decref of NULL is ignored") {
    start_python();
    attached here;
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
