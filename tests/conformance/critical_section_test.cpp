// Group 5: critical sections. With a GIL they are no-ops, and the order is the GIL's, as long as nobody detaches.
#include "conformance/conformance.hpp"

#include <functional>

namespace {

// 1 if the object's lock is held, 0 if not; with a GIL there is none, and the answer is what is wanted.
bool lock_is(bool wanted, object *of) {
    if (!is_free_threaded())
        return true;
    auto *header = reinterpret_cast<const std::uint8_t *>(of);
    return bool(header[10] & 1) == wanted; // after ob_tid and two bytes of flags: a PyMutex
}

class section {
  public:
    explicit section(object *one) { ok(pyattach_critical_section_begin(&section_, one)); }
    section(object *one, object *two) { ok(pyattach_critical_section_begin2(&section_, one, two)); }
    explicit section(pyattach_mutex *one) { ok(pyattach_critical_section_begin_mutex(&section_, one)); }
    section(pyattach_mutex *one, pyattach_mutex *two) {
        ok(pyattach_critical_section_begin_mutex2(&section_, one, two));
    }
    section(const section &) = delete;
    section &operator=(const section &) = delete;
    ~section() { pyattach_critical_section_end(&section_); }

  private:
    static void ok(pyattach_status status) { EXPECT(status == PYATTACH_OK); }
    pyattach_critical_section section_;
};

// One thread is inside `first`; threads that enter the others wait until it has set its flag.
using entering = std::function<std::unique_ptr<section>()>;
void check_excludes(const entering &first, const std::vector<entering> &others) {
    latch inside("the first thread to be inside"), others_wait("the others to wait");
    std::atomic<bool> flag{false};
    std::atomic<int> saw_it{0};
    task holder("the first thread to end", [&] {
        attached here;
        auto held = first();
        inside.count_down();
        others_wait.wait(); // attached: with a GIL nobody else runs Python
        flag = true;
    });
    inside.wait();
    std::vector<std::unique_ptr<task>> waiting;
    for (const entering &other : others)
        waiting.push_back(std::make_unique<task>("a waiting thread to end", [&] {
            attached here;
            auto held = other();
            saw_it += flag;
        }));
    for (auto &one : waiting) {
        one->wait_until_asleep();
        CHECK_FALSE(one->has_returned());
    }
    CHECK(saw_it == 0);
    others_wait.count_down();
    holder.join();
    for (auto &one : waiting)
        one->join();
    CHECK(static_cast<size_t>(saw_it) == others.size());
}

template <class... Arguments> entering on(Arguments... of) {
    return [of...] { return std::make_unique<section>(of...); };
}

struct two_objects {
    two_objects() {
        start_python();
        attached here;
        one = new_object();
        two = new_object();
    }
    ref one, two;
    object *a() const { return one; }
    object *b() const { return two; }
};

} // namespace

TEST_CASE("PyO3 test_critical_section") {
    two_objects of;
    check_excludes(on(of.a()), {on(of.a())});
}
TEST_CASE("PyO3 test_critical_section_mutex") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    check_excludes(on(&mutex), {on(&mutex)});
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}
TEST_CASE("PyO3 test_critical_section2") {
    two_objects of;
    check_excludes(on(of.a(), of.b()), {on(of.a()), on(of.b())});
}
TEST_CASE("PyO3 test_critical_section_mutex2") {
    start_python();
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    check_excludes(on(&one, &two), {on(&two, &one)});
}
TEST_CASE("PyO3 test_critical_section2_same_object_no_deadlock") {
    two_objects of;
    check_excludes(on(of.a(), of.a()), {on(of.a())});
}
TEST_CASE("PyO3 test_critical_section_mutex2_same_object_no_deadlock") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    check_excludes(on(&mutex, &mutex), {on(&mutex)});
    pyattach::attached here;
    pyattach::synchronized<int> value{1};
    bool had_second = true;
    pyattach::with_critical_section(here.token(), value, value, [&](auto first, auto second) {
        had_second = second.has_value();
        ++first.get();
    });
    CHECK_FALSE(had_second);
    CHECK(*value.lock() == 2);
}

TEST_CASE("PyO3 test_critical_section2_two_containers") {
    start_python();
    ref a, b;
    {
        attached here;
        run("a, b = [1, 2, 3], [4, 5]");
        a = eval("a");
        b = eval("b");
    }
    barrier together("both threads to be ready", 2);
    auto extend = [&](object *mine, object *other, const char *code) {
        return [&together, mine, other, code] {
            together.arrive_and_wait();
            attached here;
            section both(mine, other);
            run(code);
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

TEST_CASE("PyO3 test_critical_section_mutex2_two_containers") {
    start_python();
    using list = std::vector<int>;
    list a = {1, 2, 3}, b = {4, 5};
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&one);
    pyattach_mutex_lock(&two);
    auto extend = [](list &mine, list &other, pyattach_mutex *first, pyattach_mutex *second) {
        return [&mine, &other, first, second] {
            attached here;
            section both(first, second);
            list copy = other;
            mine.insert(mine.end(), copy.begin(), copy.end());
        };
    };
    task first("the first extending thread to end", extend(a, b, &one, &two));
    task second("the second extending thread to end", extend(b, a, &two, &one));
    first.wait_until_asleep();
    second.wait_until_asleep();
    {
        attached third;
        run("import gc; gc.collect()"); // stops the world
        if (is_free_threaded()) {
            CHECK(a.size() == 3);
            CHECK(b.size() == 2);
        }
    }
    pyattach_mutex_unlock(&one);
    pyattach_mutex_unlock(&two);
    first.join();
    second.join();
    bool a_first = a == list{1, 2, 3, 4, 5} && b == list{4, 5, 1, 2, 3, 4, 5};
    bool b_first = b == list{4, 5, 1, 2, 3} && a == list{1, 2, 3, 4, 5, 1, 2, 3};
    CHECK((a_first || b_first));
}

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
        for (ref &one : objects)
            one = new_object();
    }
    barrier together("all threads to be ready", 4);
    std::atomic<int> rounds{0};
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(std::make_unique<task>("a thread with sections to end", [&] {
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
        }));
    for (auto &one : tasks)
        one->join();
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
                ++rounds;
            }
        }));
    task collector("the collecting thread to end", [&] {
        together.arrive_and_wait();
        attached here;
        while (!done)
            run("__import__('gc').collect()");
    });
    for (auto &one : tasks)
        one->join();
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
