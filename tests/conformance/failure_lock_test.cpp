// Failures of waiting: an attached thread waits for a thread that needs Python.
#include "conformance/failure.hpp"

#include <mutex>
#include <sys/wait.h>
#include <unistd.h>

namespace {

latch has_mutex("the mutex to be held"), main_waits("the main thread to be about to wait");
std::mutex mutex;

} // namespace

// --- 8: a mutex against the GIL -------------------------------------------------------------------------------------

CHILD("8 plain") {
    start_plain();
    task other("the thread with the mutex to end", [] {
        std::lock_guard<std::mutex> held(mutex);
        has_mutex.count_down();
        main_waits.wait();
        plain_attach here;
        plain_int("1");
    });
    has_mutex.wait();
    must_end_soon();
    main_waits.count_down();
    std::lock_guard<std::mutex> held(mutex);
}
CHILD("8 with us") {
    start_python();
    task other("the thread with the mutex to end", [] {
        std::lock_guard<std::mutex> held(mutex);
        has_mutex.count_down();
        main_waits.wait();
        attached here;
        EXPECT(eval_int("1") == 1);
    });
    has_mutex.wait();
    pyattach::attached here;
    main_waits.count_down();
    EXPECT(pyattach::lock_detached(here.token(), mutex).owns_lock());
    pyattach::join_detached(here.token(), other);
}
TEST_CASE("failure 8: a mutex is waited for with the GIL held") {
    about python;
    check_plain("8 plain", outcome::hung, !python.is_free_threaded); // without a GIL, once the world is stopped
    check_succeeds("8 with us");
}

// --- 9: a join with the GIL held ------------------------------------------------------------------------------------

CHILD("9 plain") {
    start_plain();
    task worker("the worker to end", [] {
        main_waits.wait();
        plain_attach here;
        plain_int("1");
    });
    must_end_soon();
    main_waits.count_down();
    worker.join();
}
CHILD("9 with us") {
    start_python();
    pyattach::attached here;
    task worker("the worker to end", [] {
        attached there;
        EXPECT(eval_int("1") == 1);
    });
    pyattach::join_detached(here.token(), worker);
}
TEST_CASE("failure 9: a worker that needs Python is joined with the GIL held") {
    about python;
    check_plain("9 plain", outcome::hung, !python.is_free_threaded); // without a GIL, once the world is stopped
    check_succeeds("9 with us");
}

// --- 10: the embedder keeps the GIL after Py_Initialize -------------------------------------------------------------

namespace {

// The main loop of a host: it waits for its workers, and does not detach.
void main_loop(const std::function<void()> &work) {
    latch done("the worker to be done");
    task worker("the worker to end", [&] {
        work();
        done.count_down();
    });
    done.wait();
    worker.join();
}

} // namespace

CHILD("10 plain") {
    start_plain(); // and stays attached
    must_end_soon();
    main_loop([] {
        plain_attach here;
        plain_int("1");
    });
}
CHILD("10 with us") {
    start_python(); // leaves the caller detached
    main_loop([] {
        attached here;
        EXPECT(eval_int("1") == 1);
    });
}
TEST_CASE("failure 10: the thread that started Python keeps the GIL") {
    about python;
    check_plain("10 plain", outcome::hung, !python.is_free_threaded); // without a GIL, once the world is stopped
    check_succeeds("10 with us");
}

// --- 14: fork with the GIL held elsewhere ---------------------------------------------------------------------------

namespace {

// Forks while another thread is attached; the child does `attach`, and has the outcome of the whole.
void fork_beside_an_attached_thread(const std::function<void(const std::function<void()> &)> &while_attached,
                                    const std::function<void()> &attach) {
    latch holds("the other thread to be attached"), forked("the fork to be over");
    task other("the attached thread to end", [&] {
        while_attached([&] {
            holds.count_down();
            forked.wait();
        });
    });
    holds.wait();
    pid_t child = fork();
    if (child == 0) {
        must_end_soon();
        attach();
        std::_Exit(0);
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    forked.count_down();
    other.join();
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        std::_Exit(WEXITSTATUS(status));
}

} // namespace

CHILD("14 plain") {
    auto &py = start_plain();
    py.save();
    fork_beside_an_attached_thread(
        [](const std::function<void()> &wait) {
            plain_attach here;
            wait();
        },
        [&] { py.release(py.ensure()); });
}
CHILD("14 with us") {
    start_python();
    fork_beside_an_attached_thread(
        [](const std::function<void()> &wait) {
            attached here;
            wait();
        },
        [] { answer(try_to_attach() == PYATTACH_UNSUPPORTED); });
}
TEST_CASE("failure 14: a child of fork waits for a GIL whose holder it does not have") {
    about python;
    check_plain("14 plain", outcome::hung, !python.is_free_threaded);
    check_succeeds("14 with us");
}

// --- 19: a blocked attached thread stalls the world -----------------------------------------------------------------

namespace {

void collect_beside_a_blocked_thread(const std::function<void(const std::function<void()> &)> &block,
                                     const std::function<void()> &collect) {
    mutex.lock();
    task blocked("the blocked thread to end", [&] { block([] { has_mutex.count_down(); }); });
    has_mutex.wait();
    blocked.wait_until_asleep();
    collect();
    mutex.unlock();
    blocked.join();
}

} // namespace

CHILD("19 plain") {
    auto &py = start_plain();
    py.save();
    collect_beside_a_blocked_thread(
        [](const std::function<void()> &about_to_block) {
            plain_attach here;
            about_to_block();
            std::lock_guard<std::mutex> held(mutex);
        },
        [&] {
            must_end_soon();
            plain_attach here;
            EXPECT(py.run("import gc; gc.collect()", nullptr) == 0);
        });
}
CHILD("19 with us") {
    start_python();
    collect_beside_a_blocked_thread(
        [](const std::function<void()> &about_to_block) {
            pyattach::attached here;
            about_to_block();
            EXPECT(pyattach::lock_detached(here.token(), mutex).owns_lock());
        },
        [] {
            attached here;
            run("import gc; gc.collect()");
        });
}
TEST_CASE("failure 19: a thread blocked while attached keeps the world from stopping") {
    check_plain("19 plain", outcome::hung);
    check_succeeds("19 with us");
}
