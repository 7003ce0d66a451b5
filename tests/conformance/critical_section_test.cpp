// Group 5: critical sections. With a GIL they are no-ops, and the GIL orders the threads, as long as none detaches.
#include "conformance/section.hpp"

namespace {

// One thread is inside `first`; threads that enter the others wait until it has set its flag.
void check_excludes(const entering &first, const std::vector<entering> &others) {
    latch inside("the first thread to be inside"), others_wait("the others to wait");
    std::atomic<bool> flag{false};
    std::atomic<int> saw_it{0};
    task holder("the first thread to end", [&] {
        attached here;
        auto held = first();
        inside.count_down();
        others_wait.wait(); // attached: with a GIL no other thread runs Python
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
    for (auto &thread : waiting) {
        thread->wait_until_asleep();
        CHECK_FALSE(thread->has_returned());
    }
    CHECK(saw_it == 0);
    others_wait.count_down();
    holder.join();
    for (auto &thread : waiting)
        thread->join();
    CHECK(static_cast<size_t>(saw_it) == others.size());
}

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
    check_excludes(on(of.a(), of.b()), {on(of.b(), of.a())});
}
TEST_CASE("PyO3 test_critical_section_mutex2") {
    start_python();
    pyattach_mutex first = PYATTACH_MUTEX_INIT, second = PYATTACH_MUTEX_INIT;
    check_excludes(on(&first, &second), {on(&second, &first)});
    CHECK_FALSE(pyattach_mutex_is_locked(&first));
    CHECK_FALSE(pyattach_mutex_is_locked(&second));
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
    auto extend = [&](object *reference, object *other, const char *code) {
        return [&together, reference, other, code] {
            together.arrive_and_wait();
            attached here;
            section both(reference, other);
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
    pyattach_mutex left = PYATTACH_MUTEX_INIT, right = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&left);
    pyattach_mutex_lock(&right);
    auto extend = [](list &target, list &other, pyattach_mutex *first, pyattach_mutex *second) {
        return [&target, &other, first, second] {
            attached here;
            section both(first, second);
            list copy = other;
            target.insert(target.end(), copy.begin(), copy.end());
        };
    };
    task first("the first extending thread to end", extend(a, b, &left, &right));
    task second("the second extending thread to end", extend(b, a, &right, &left));
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
    pyattach_mutex_unlock(&left);
    pyattach_mutex_unlock(&right);
    first.join();
    second.join();
    bool a_first = a == list{1, 2, 3, 4, 5} && b == list{4, 5, 1, 2, 3, 4, 5};
    bool b_first = b == list{4, 5, 1, 2, 3} && a == list{1, 2, 3, 4, 5, 1, 2, 3};
    CHECK((a_first || b_first));
}
