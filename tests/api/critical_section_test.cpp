// Critical sections on mutexes, and what is refused. That sections exclude, nest and are suspended: conformance.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

TEST_CASE("without a GIL the mutex of a section is locked inside and free after it") {
    start_python();
    attached here;
    pyattach_mutex first = PYATTACH_MUTEX_INIT, second = PYATTACH_MUTEX_INIT;
    const int locked = is_free_threaded();
    {
        section inside(&first);
        CHECK(pyattach_mutex_is_locked(&first) == locked);
        CHECK(pyattach_mutex_is_locked(&second) == 0);
    }
    CHECK(pyattach_mutex_is_locked(&first) == 0);
    {
        section inside(&first, &second);
        CHECK(pyattach_mutex_is_locked(&first) == locked);
        CHECK(pyattach_mutex_is_locked(&second) == locked);
    }
    {
        section inside(&second, &second);
        CHECK(pyattach_mutex_is_locked(&first) == 0);
        CHECK(pyattach_mutex_is_locked(&second) == locked);
    }
    CHECK(pyattach_mutex_is_locked(&second) == 0);
}

TEST_CASE("a detached scope suspends a section on two mutexes, which holds again after it") {
    start_python();
    attached here;
    pyattach_mutex first = PYATTACH_MUTEX_INIT, second = PYATTACH_MUTEX_INIT;
    const int locked = is_free_threaded();
    section inside(&first, &second);
    {
        detached gap;
        CHECK(pyattach_mutex_is_locked(&first) == 0);
        CHECK(pyattach_mutex_is_locked(&second) == 0);
        CHECK(pyattach_mutex_try_lock(&first) == 1);
        pyattach_mutex_unlock(&first);
    }
    CHECK(pyattach_mutex_is_locked(&first) == locked);
    CHECK(pyattach_mutex_is_locked(&second) == locked);
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
        run_on_threads(threads, "a counting thread to end", [&](int) {
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
        });
    }
    CHECK(on_object == threads * each);
    CHECK(on_mutex == threads * each);
}
