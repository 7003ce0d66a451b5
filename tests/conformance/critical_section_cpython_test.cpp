// Group 5, the rest: CPython's tests of its critical sections, applied to the library's.
#include "conformance/section.hpp"

TEST_CASE("CPython test_critical_sections") {
    two_objects of;
    attached here;
    for (int kind = 0; kind < 3; ++kind) {
        INFO(kind);
        object *second = kind == 0 ? nullptr : kind == 1 ? of.b() : of.a();
        CHECK(lock_is(false, of.a()));
        {
            auto held = second ? on(of.a(), second)() : on(of.a())();
            CHECK(lock_is(true, of.a()));
            CHECK((!second || lock_is(true, second)));
        }
        CHECK(lock_is(false, of.a()));
        CHECK((!second || lock_is(false, second)));
    }
}

TEST_CASE("CPython test_critical_sections_nest") {
    two_objects of;
    attached here;
    std::vector<std::unique_ptr<section>> levels;
    for (int i = 0; i < 10; ++i)
        levels.push_back(on(of.a())());
    CHECK(lock_is(true, of.a()));
    for (int i = 0; i < 10; ++i)
        levels.push_back(i % 2 ? on(of.a(), of.b())() : on(of.b(), of.a())());
    CHECK(lock_is(true, of.b()));
    while (levels.size() > 1)
        levels.pop_back();
    CHECK(lock_is(true, of.a())); // the outermost holds again
    levels.pop_back();
    CHECK(lock_is(false, of.a()));
    CHECK(lock_is(false, of.b()));
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    {
        section outer(&mutex);
        { section inner(&mutex); } // may suspend the outer one
        CHECK(pyattach_mutex_is_locked(&mutex) == is_free_threaded());
    }
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

TEST_CASE("CPython test_critical_sections_suspend") {
    two_objects of;
    attached here;
    section outer(of.a());
    {
        detached gap;
        CHECK(lock_is(false, of.a()));
        run_on_thread([&] {
            attached there;
            section other(of.a());
            CHECK(lock_is(true, of.a()));
        });
    }
    CHECK(lock_is(true, of.a()));
}

TEST_CASE("CPython test_critical_sections_threads") {
    start_python();
    ref objects[3];
    {
        attached here;
        for (ref &object : objects)
            object = new_object();
    }
    barrier together("all threads to be ready", 4);
    std::atomic<int> rounds{0};
    run_on_threads(4, "a thread with sections to end", [&](int) {
        together.arrive_and_wait();
        attached here;
        for (int round = 0; round < 200; ++round) {
            object *x = objects[round % 3], *y = objects[(round + 1) % 3];
            section outer(x);
            section inner(y, round % 2 ? x : y);
            if (round % 5 == 0)
                detached gap;
            ++rounds;
        }
    });
    CHECK(rounds == 800);
}

TEST_CASE("CPython test_critical_sections_gc") {
    two_objects of;
    barrier together("all threads to be ready", 4);
    std::atomic<int> rounds{0};
    std::atomic<bool> done{false};
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 3; ++i)
        tasks.push_back(std::make_unique<task>("a contending thread to end", [&] {
            together.arrive_and_wait();
            attached here;
            for (int round = 0; round < 200; ++round) {
                section held(of.a());
                run("[object() for _ in range(20)]");
                if (round % 50 == 0)
                    detached gap;
                ++rounds;
            }
        }));
    task collector("the collecting thread to end", [&] {
        together.arrive_and_wait();
        attached here;
        while (!done)
            run("__import__('gc').collect()");
    });
    for (auto &thread : tasks)
        thread->join();
    done = true;
    collector.join();
    CHECK(rounds == 600);
}

TEST_CASE("CPython _testcapi test_critical_sections") {
    two_objects of;
    attached here;
    pyattach_critical_section storage;
    CHECK(pyattach_critical_section_begin(&storage, of.a()) == PYATTACH_OK);
    pyattach_critical_section_end(&storage);
    CHECK(pyattach_critical_section_begin2(&storage, of.a(), of.a()) == PYATTACH_OK);
    pyattach_critical_section_end(&storage);
    CHECK(pyattach_critical_section_begin(&storage, nullptr) == PYATTACH_INVALID);
}

TEST_CASE("ext: a detached scope inside a section on a mutex") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    auto is_locked = [&] { return pyattach_mutex_is_locked(&mutex) == 1; };
    attached here;
    {
        section held(&mutex);
        CHECK(is_locked() == is_free_threaded());
        {
            detached gap;
            CHECK_FALSE(is_locked());
            pyattach_mutex_lock(&mutex);
            pyattach_mutex_unlock(&mutex);
        }
        CHECK(is_locked() == is_free_threaded());
    }
    CHECK_FALSE(is_locked());
}
