// References: given back anywhere, released once somebody is attached.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

// PyO3 test_pyobject_drop_attached_decreases_refcnt, explicit_drop_ref; v0.12 test_pyobject_drop_with_gil_decreases_refcnt
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
TEST_CASE("a first attach, a nested one, an assumed one and the end of a detached scope all drain the pool") {
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

// PyO3 test_drop_deferred_references_does_not_deadlock; v0.12 test_update_counts_does_not_deadlock
TEST_CASE("a destructor run by a drain may attach, drain and drop: nothing deadlocks and both objects die") {
    start_python();
    attached here;
    run("died = []");
    ref second = object_whose_death("died.append('second')");
    publish("native", native_function([&] {
                attached inside;
                {
                    detached gap;
                    second.drop(); // queued in the middle of a drain
                    EXPECT(pyattach_pool_size() >= 1);
                }
                EXPECT(pyattach_pool_drain() == PYATTACH_OK);
                EXPECT(pyattach_pool_size() == 0);
            }));
    ref first = object_whose_death("native()\ndied.append('first')");
    {
        foreign_detach gap;
        first.drop();
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_text("died") == "['second', 'first']");
    run("del native");
}

TEST_CASE("a drain does not run into itself: an attach in a destructor releases nothing more") {
    start_python();
    attached here;
    run("died = []");
    ref second = object_whose_death("died.append('second')");
    size_t waiting = 0;
    publish("native", native_function([&] {
                {
                    foreign_detach gap;
                    second.drop();
                }
                attached nested;
                waiting = pyattach_pool_size();
            }));
    ref first = object_whose_death("native()\ndied.append('first')");
    {
        foreign_detach gap;
        first.drop();
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(waiting == 1);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_text("died") == "['first', 'second']");
    run("del native");
}

// PyO3 test_clone_attached; v0.12 test_clone_with_gil
TEST_CASE("a reference taken on an attached thread counts at once") {
    start_python();
    attached here;
    ref object = new_object();
    CHECK(pyattach_incref(object) == PYATTACH_OK);
    CHECK(reference_count(object) == 2);
    pyattach_decref(object);
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

// conformance.md, group 3: flush barrier
TEST_CASE("when a drain returns, every reference given back before it is released") {
    start_python();
    constexpr int threads = 4, each = 500;
    attached here;
    ref object = new_object();
    for (int i = 0; i < threads * each; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    {
        foreign_detach gap;
        std::vector<std::unique_ptr<task>> droppers;
        for (int i = 0; i < threads; ++i)
            droppers.push_back(std::make_unique<task>("a dropping thread to end", [&] {
                for (int round = 0; round < each; ++round)
                    pyattach_decref(object);
            }));
    }
    CHECK(pyattach_pool_size() == threads * each);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

// conformance.md, group 3: lost wake-up (PyO3 #6307, #6346)
TEST_CASE("with threads dropping while others attach, one last attach leaves the pool empty") {
    start_python();
    constexpr int droppers = 4, attachers = 2, each = 2000;
    ref object;
    {
        attached here;
        object = new_object();
        for (int i = 0; i < droppers * each; ++i)
            REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    }
    barrier together("all threads to be ready", droppers + attachers);
    latch all_dropped("the droppers to end", droppers);
    {
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < droppers; ++i)
            tasks.push_back(std::make_unique<task>("a dropping thread to end", [&] {
                together.arrive_and_wait();
                for (int round = 0; round < each; ++round)
                    pyattach_decref(object);
                all_dropped.count_down();
            }));
        for (int i = 0; i < attachers; ++i)
            tasks.push_back(std::make_unique<task>("an attaching thread to end", [&] {
                together.arrive_and_wait();
                while (!all_dropped.is_open())
                    attached here;
            }));
    }
    attached last;
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

// CPython test_incref_decref_API
TEST_CASE("a thousand references taken and given back balance") {
    start_python();
    attached here;
    ref object = new_object();
    for (int i = 0; i < 1000; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    CHECK(reference_count(object) == 1001);
    for (int i = 0; i < 1000; ++i)
        pyattach_decref(object);
    CHECK(reference_count(object) == 1);
}

// conformance.md, group 6: no flush under a user's lock
TEST_CASE("while a mutex or a section is held, attaching does not run destructors") {
    start_python();
    attached here;
    ref first = new_object(), guarded = new_object();
    size_t while_locked = 0, in_section = 0, after = 1;
    {
        foreign_detach gap;
        first.drop();
    }
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&mutex);
    {
        attached nested;
        while_locked = pyattach_pool_size();
    }
    pyattach_mutex_unlock(&mutex);
    pyattach_critical_section section;
    REQUIRE(pyattach_critical_section_begin(&section, guarded) == PYATTACH_OK);
    {
        attached nested;
        in_section = pyattach_pool_size();
    }
    pyattach_critical_section_end(&section);
    {
        attached nested;
        after = pyattach_pool_size();
    }
    CHECK(while_locked == 1);
    CHECK(in_section == 1);
    CHECK(after == 0);
}
