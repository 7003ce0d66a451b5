// Critical sections. With a GIL they exclude by never detaching; without one they lock.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

// A section that ends itself.
class section {
  public:
    explicit section(object *one) : section(pyattach_critical_section_begin(&storage_, one)) {}
    section(object *one, object *two) : section(pyattach_critical_section_begin2(&storage_, one, two)) {}
    explicit section(pyattach_mutex *one) : section(pyattach_critical_section_begin_mutex(&storage_, one)) {}
    section(pyattach_mutex *one, pyattach_mutex *two)
        : section(pyattach_critical_section_begin_mutex2(&storage_, one, two)) {}
    section(const section &) = delete;
    section &operator=(const section &) = delete;
    ~section() { pyattach_critical_section_end(&storage_); }

  private:
    explicit section(pyattach_status status) {
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    pyattach_critical_section storage_;
};

// Lets a second thread enter while the first is in its section, and says whether the second one saw the first one's
// mark. Nothing detaches in between, so this holds with a GIL too.
template <class First, class Second> bool excludes(First first, Second second) {
    latch inside("the first thread to be in its section");
    std::atomic<bool> mark{false}, seen{false};
    task waiting("the second thread to end", [&] {
        inside.wait();
        attached here;
        second([&] { seen = mark.load(); });
    });
    {
        attached here;
        first([&] {
            inside.count_down();
            waiting.wait_until_asleep();
            mark = true;
        });
    }
    waiting.join();
    return seen;
}

} // namespace

// PyO3 test_critical_section
TEST_CASE("a section on an object excludes another on the same object") {
    start_python();
    ref object;
    {
        attached here;
        object = new_object();
    }
    auto enter = [&](auto act) {
        section here(object);
        act();
    };
    CHECK(excludes(enter, enter));
}

// PyO3 test_critical_section_mutex
TEST_CASE("a section on a mutex excludes another on the same mutex") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    auto enter = [&](auto act) {
        section here(&mutex);
        act();
    };
    CHECK(excludes(enter, enter));
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

// PyO3 test_critical_section2
TEST_CASE("a section on two objects excludes one on either of them") {
    start_python();
    ref one, two;
    {
        attached here;
        one = new_object();
        two = new_object();
    }
    auto both = [&](auto act) {
        section here(one, two);
        act();
    };
    CHECK(excludes(both, [&](auto act) {
        section here(one);
        act();
    }));
    CHECK(excludes(both, [&](auto act) {
        section here(two);
        act();
    }));
    CHECK(excludes(both, [&](auto act) {
        section here(two, one);
        act();
    }));
}

// PyO3 test_critical_section_mutex2
TEST_CASE("a section on two mutexes excludes another on the same pair") {
    start_python();
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    CHECK(excludes(
        [&](auto act) {
            section here(&one, &two);
            act();
        },
        [&](auto act) {
            section here(&two, &one);
            act();
        }));
    CHECK_FALSE(pyattach_mutex_is_locked(&one));
    CHECK_FALSE(pyattach_mutex_is_locked(&two));
}

// PyO3 test_critical_section2_same_object_no_deadlock, test_critical_section_mutex2_same_object_no_deadlock
TEST_CASE("a section on the same object or mutex twice does not deadlock, and excludes") {
    start_python();
    ref object;
    {
        attached here;
        object = new_object();
    }
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    CHECK(excludes(
        [&](auto act) {
            section here(object, object);
            act();
        },
        [&](auto act) {
            section here(object);
            act();
        }));
    CHECK(excludes(
        [&](auto act) {
            section here(&mutex, &mutex);
            act();
        },
        [&](auto act) {
            section here(&mutex);
            act();
        }));
}

// CPython test_critical_sections; (ext) no public mutex forms on 3.13
TEST_CASE("without a GIL the mutex of a section is locked inside and free after it") {
    start_python();
    attached here;
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    const int locked = is_free_threaded();
    {
        section inside(&one);
        CHECK(pyattach_mutex_is_locked(&one) == locked);
        CHECK(pyattach_mutex_is_locked(&two) == 0);
    }
    CHECK(pyattach_mutex_is_locked(&one) == 0);
    {
        section inside(&one, &two);
        CHECK(pyattach_mutex_is_locked(&one) == locked);
        CHECK(pyattach_mutex_is_locked(&two) == locked);
    }
    {
        section inside(&two, &two);
        CHECK(pyattach_mutex_is_locked(&one) == 0);
        CHECK(pyattach_mutex_is_locked(&two) == locked);
    }
    CHECK(pyattach_mutex_is_locked(&two) == 0);
}

// CPython test_critical_sections_suspend; (ext) the same for a section on a mutex
TEST_CASE("a detached scope suspends a section, which holds again after it") {
    start_python();
    attached here;
    pyattach_mutex one = PYATTACH_MUTEX_INIT, two = PYATTACH_MUTEX_INIT;
    const int locked = is_free_threaded();
    section inside(&one, &two);
    {
        detached gap;
        CHECK(pyattach_mutex_is_locked(&one) == 0);
        CHECK(pyattach_mutex_is_locked(&two) == 0);
        CHECK(pyattach_mutex_try_lock(&one) == 1);
        pyattach_mutex_unlock(&one);
    }
    CHECK(pyattach_mutex_is_locked(&one) == locked);
    CHECK(pyattach_mutex_is_locked(&two) == locked);
}

// CPython test_critical_sections_nest
TEST_CASE("ten levels on the same object, and on a pair in both orders, do not deadlock") {
    start_python();
    attached here;
    ref a = new_object(), b = new_object();
    std::function<void(int)> one_object = [&](int level) {
        section inside(a);
        if (level > 1)
            one_object(level - 1);
    };
    std::function<void(int)> pair = [&](int level) {
        section inside(level % 2 ? a : b, level % 2 ? b : a);
        if (level > 1)
            pair(level - 1);
    };
    one_object(10);
    pair(10);
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    {
        section outer(&mutex);
        { section inner(&mutex); }
        // The inner one may have suspended the outer one; it holds again now.
        CHECK(pyattach_mutex_is_locked(&mutex) == (is_free_threaded() ? 1 : 0));
    }
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
}

TEST_CASE("sections are refused without an attached thread, and for NULL") {
    start_python();
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_critical_section storage;
    ref object;
    CHECK(pyattach_critical_section_begin_mutex(&storage, &mutex) == PYATTACH_NOT_ATTACHED);
    CHECK(pyattach_critical_section_begin_mutex2(&storage, &mutex, &mutex) == PYATTACH_NOT_ATTACHED);
    {
        attached here;
        object = new_object();
        CHECK(pyattach_critical_section_begin(nullptr, object) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin(&storage, nullptr) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin2(&storage, object, nullptr) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin2(&storage, nullptr, object) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin_mutex(&storage, nullptr) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin_mutex2(&storage, &mutex, nullptr) == PYATTACH_INVALID);
        CHECK(pyattach_critical_section_begin_mutex2(&storage, nullptr, &mutex) == PYATTACH_INVALID);
        CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
        pyattach_critical_section_end(nullptr);
        detached gap;
        CHECK(pyattach_critical_section_begin(&storage, object) == PYATTACH_NOT_ATTACHED);
        CHECK(pyattach_critical_section_begin2(&storage, object, object) == PYATTACH_NOT_ATTACHED);
    }
}
