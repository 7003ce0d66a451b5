// Critical sections under contention: two containers, four threads, the collector.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

pyattach_status enter(pyattach_critical_section &section, object *one, object *two) {
    return two ? pyattach_critical_section_begin2(&section, one, two) : pyattach_critical_section_begin(&section, one);
}

} // namespace

// PyO3 test_critical_section2_two_containers
TEST_CASE("a.extend(b) and b.extend(a) at once, in opposite orders of locking, give a serial result") {
    start_python();
    ref a, b;
    {
        attached here;
        a = eval("[1, 2, 3]");
        b = eval("[4, 5]");
        publish("a", a);
        publish("b", b);
    }
    barrier together("both threads to be ready", 2);
    // list.extend locks both lists itself; the section makes reading and writing one step.
    auto extend = [&](object *mine, object *other, const char *code) {
        return [&, mine, other, code] {
            together.arrive_and_wait();
            attached here;
            pyattach_critical_section section;
            EXPECT(pyattach_critical_section_begin2(&section, mine, other) == PYATTACH_OK);
            run(code);
            pyattach_critical_section_end(&section);
        };
    };
    task first("the first extending thread to end", extend(a, b, "a.extend(b)"));
    task second("the second extending thread to end", extend(b, a, "b.extend(a)"));
    first.join();
    second.join();
    attached here;
    std::string result = eval_text("(a, b)");
    CHECK((result == "([1, 2, 3, 4, 5], [4, 5, 1, 2, 3, 4, 5])" ||
           result == "([1, 2, 3, 4, 5, 1, 2, 3], [4, 5, 1, 2, 3])"));
    run("del a, b");
}

// PyO3 test_critical_section_mutex2_two_containers
TEST_CASE("threads that wait for both mutexes do not keep a third one from attaching") {
    start_python();
    if (!is_free_threaded())
        return; // with a GIL nobody waits in a section
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    std::vector<int> a = {1, 2, 3}, b = {4, 5};
    pyattach_mutex_lock(&one);
    pyattach_mutex_lock(&two);
    auto extend = [&](std::vector<int> &mine, std::vector<int> &other, pyattach_mutex *first, pyattach_mutex *second) {
        return [&, first, second] {
            attached here;
            pyattach_critical_section section;
            EXPECT(pyattach_critical_section_begin_mutex2(&section, first, second) == PYATTACH_OK);
            std::vector<int> copy = other;
            mine.insert(mine.end(), copy.begin(), copy.end());
            pyattach_critical_section_end(&section);
        };
    };
    task first("the first waiting thread to end", extend(a, b, &one, &two));
    task second("the second waiting thread to end", extend(b, a, &two, &one));
    first.wait_until_asleep();
    second.wait_until_asleep();
    {
        attached third;
        run("import gc; gc.collect()"); // stops the world, so the waiting ones must be out of it
    }
    CHECK(a.size() == 3);
    CHECK(b.size() == 2);
    pyattach_mutex_unlock(&one);
    pyattach_mutex_unlock(&two);
    first.join();
    second.join();
    bool a_first = a == std::vector<int>{1, 2, 3, 4, 5} && b == std::vector<int>{4, 5, 1, 2, 3, 4, 5};
    bool b_first = b == std::vector<int>{4, 5, 1, 2, 3} && a == std::vector<int>{1, 2, 3, 4, 5, 1, 2, 3};
    CHECK((a_first || b_first));
}

// CPython test_critical_sections_threads
TEST_CASE("four threads with nested, doubled and interrupted sections on three objects all finish") {
    start_python();
    ref objects[3];
    {
        attached here;
        for (ref &one : objects)
            one = new_object();
    }
    barrier together("all threads to be ready", 4);
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(std::make_unique<task>("a thread with sections to end", [&] {
            together.arrive_and_wait();
            attached here;
            for (int round = 0; round < 200; ++round) {
                pyattach_critical_section outer, inner;
                object *x = objects[round % 3], *y = objects[(round + 1) % 3];
                EXPECT(enter(outer, x, round % 2 ? y : nullptr) == PYATTACH_OK);
                EXPECT(enter(inner, y, round % 3 ? x : y) == PYATTACH_OK);
                if (round % 5 == 0)
                    detached gap;
                pyattach_critical_section_end(&inner);
                pyattach_critical_section_end(&outer);
            }
        }));
    for (auto &one : tasks)
        one->join();
    SUCCEED();
}

// CPython test_critical_sections_gc (gh-118332)
TEST_CASE("contended sections while another thread collects do not deadlock") {
    start_python();
    ref object;
    {
        attached here;
        object = new_object();
    }
    latch done("the threads with sections to end", 3);
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 3; ++i)
        tasks.push_back(std::make_unique<task>("a thread with sections to end", [&] {
            {
                attached here;
                for (int round = 0; round < 500; ++round) {
                    pyattach_critical_section section;
                    EXPECT(pyattach_critical_section_begin(&section, object) == PYATTACH_OK);
                    pyattach_critical_section_end(&section);
                    if (round % 50 == 0)
                        detached gap;
                }
            }
            done.count_down();
        }));
    while (!done.is_open()) {
        attached here;
        run("import gc; gc.collect(0)");
    }
    for (auto &one : tasks)
        one->join();
    SUCCEED();
}

TEST_CASE("increments in sections add up, on an object and on a mutex") {
    start_python();
    constexpr int threads = 4, each = 500;
    ref object;
    {
        attached here;
        object = new_object();
    }
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    long on_object = 0, on_mutex = 0;
    {
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < threads; ++i)
            tasks.push_back(std::make_unique<task>("a counting thread to end", [&] {
                for (int round = 0; round < each; ++round) {
                    attached here;
                    pyattach_critical_section section;
                    EXPECT(pyattach_critical_section_begin(&section, object) == PYATTACH_OK);
                    ++on_object;
                    pyattach_critical_section_end(&section);
                    EXPECT(pyattach_critical_section_begin_mutex(&section, &mutex) == PYATTACH_OK);
                    ++on_mutex;
                    pyattach_critical_section_end(&section);
                }
            }));
        for (auto &one : tasks)
            one->join();
    }
    CHECK(on_object == threads * each);
    CHECK(on_mutex == threads * each);
}
