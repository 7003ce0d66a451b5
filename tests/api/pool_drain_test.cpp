// Draining the pool: budgets, many threads, what keeps a drain off.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

TEST_CASE("a drain does not re-enter itself: an attach in a destructor releases nothing more") {
    start_python();
    attached here;
    run("died = []");
    ref second = object_with_finalizer("died.append('second')");
    size_t waiting = 0;
    publish("native", native_function([&] {
                {
                    foreign_detach gap;
                    second.drop();
                }
                attached nested;
                waiting = pyattach_pool_size();
            }));
    ref first = object_with_finalizer("native()\ndied.append('first')");
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

TEST_CASE("an attach releases no more than its budget, a drain all") {
    start_python();
    attached here;
    ref object = new_object();
    for (int i = 0; i < 25; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    {
        foreign_detach gap;
        for (int i = 0; i < 25; ++i)
            pyattach_decref(object);
    }
    pyattach_set_drain_budget(10);
    { attached nested; }
    size_t after_one = pyattach_pool_size();
    { detached gap; }
    size_t after_two = pyattach_pool_size();
    pyattach_set_drain_budget(0);
    { attached nested; }
    size_t after_none = pyattach_pool_size();
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    pyattach_set_drain_budget(256);
    CHECK(after_one == 15);
    CHECK(after_two == 5);
    CHECK(after_none == 5);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("when very many references wait and nobody attaches, Python releases them by itself") {
    constexpr int many = 20000;
    start_python();
    attached here;
    ref object = new_object();
    for (int i = 0; i < many; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    task dropping("the dropping thread to end", [&] {
        for (int i = 0; i < many; ++i)
            pyattach_decref(object); // it has never attached, and does not
    });
    dropping.join(); // this thread stays attached, so with a GIL no other thread can drain
    size_t waited = pyattach_pool_size();
    publish("object", object);
    // Only Python code attaches and detaches meanwhile. It has to do both: up to 3.12 a thread notices pending calls of
    // other threads when it attaches. The test's deadline ends a hang.
    run("import sys, time\nwhile sys.getrefcount(object) > 100: time.sleep(0)");
    CHECK(waited == many);
    CHECK(pyattach_pool_size() == 0);
    run("del object");
    CHECK(reference_count(object) == 1);
}
