// Routed code at the end of Python: who is refused, what becomes of the thread, and what an answer of Py_IsFinalizing
// is worth.
#include "support/catch.hpp"
#include "support/host.hpp"
#include "support/tstate_counts.hpp"

#include "routed.hpp"

#include <pthread.h>

using namespace support;
using namespace routed;

namespace {

std::atomic<int> called;
std::atomic<pyattach_status> told;
void note(pyattach_status why, void *arg) {
    EXPECT(arg == &called);
    EXPECT(!cpython_says_attached());
    told = why;
    ++called;
}

// A native thread that is joined by nobody.
void start(void *(*run)(void *)) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, nullptr, run, nullptr) == 0);
    pthread_detach(thread);
}

struct frame {
    std::atomic<bool> &was_unwound;
    ~frame() { was_unwound = true; }
};

void finalize() {
    plain::python().ensure();
    EXPECT(plain::python().finalize() == 0);
}

} // namespace

CHILD("ensures after the end are parked") {
    start_python();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    pyattach_gilstate_set_refused_handler(note, &called);
    finalize();
    static std::atomic<bool> came_back{false};
    start([](void *) -> void * {
        PyGILState_Ensure();
        came_back = true;
        return nullptr;
    });
    wait_until("the handler to be called", [] { return called == 1; });
    EXPECT(told == PYATTACH_NOT_INITIALIZED);
    EXPECT(!came_back);
    end_child();
}
CHILD("ensures after the end end their thread") {
    start_python();
    pyattach_gilstate_set_refused(PYATTACH_REFUSED_END_THREAD);
    pyattach_gilstate_set_refused_handler(note, &called);
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    finalize();
    static std::atomic<bool> was_unwound{false};
    for (auto *body : {+[](void *) -> void * {
                           frame here{was_unwound};
                           PyGILState_Ensure();
                           return nullptr;
                       },
                       +[](void *) -> void * {
                           frame here{was_unwound};
                           PyThreadState_New(nullptr);
                           return nullptr;
                       }}) {
        was_unwound = false;
        pthread_t thread;
        EXPECT(pthread_create(&thread, nullptr, body, nullptr) == 0);
        EXPECT(pthread_join(thread, nullptr) == 0);
        EXPECT(was_unwound);
    }
    EXPECT(called == 2);
    end_child();
}
TEST_CASE("an ensure after the end parks its thread, or ends it, as is set") {
    check_succeeds("ensures after the end are parked");
    check_succeeds("ensures after the end end their thread");
}

CHILD("a handler that is replaced and taken away") {
    start_python();
    pyattach_gilstate_set_refused_handler([](pyattach_status, void *) { std::_Exit(3); }, nullptr);
    pyattach_gilstate_set_refused_handler(nullptr, nullptr);
    pyattach_gilstate_set_refused(PYATTACH_REFUSED_END_THREAD);
    finalize();
    pthread_t thread;
    auto body = [](void *) -> void * { return PyGILState_Ensure(), nullptr; };
    EXPECT(pthread_create(&thread, nullptr, body, nullptr) == 0);
    EXPECT(pthread_join(thread, nullptr) == 0);
    end_child();
}
TEST_CASE("a handler that was replaced is not called") { check_succeeds("a handler that is replaced and taken away"); }

CHILD("a thread in a gap at the end") {
    start_python();
    pyattach_gilstate_set_refused(PYATTACH_REFUSED_END_THREAD);
    pyattach_gilstate_set_refused_handler(note, &called);
    static latch in_gap{"the thread to be in a gap"}, has_ended{"Python to end"};
    static std::atomic<bool> came_back{false};
    start([](void *) -> void * {
        frame here{came_back};
        PyGILState_Ensure();
        void *saved = PyEval_SaveThread();
        in_gap.count_down();
        has_ended.wait();
        PyEval_RestoreThread(saved);
        return nullptr;
    });
    in_gap.wait();
    finalize();
    has_ended.count_down();
    wait_until("the handler to be called", [] { return called == 1; });
    EXPECT(told == PYATTACH_FINALIZING);
    EXPECT(!came_back); // parked, because frames of Python's may be below
    end_child();
}
TEST_CASE("a restore after the end parks the thread, whatever is set") {
    check_succeeds("a thread in a gap at the end");
}

CHILD("a message for a refused thread") {
    start_python();
    messages heard;
    pyattach_gilstate_set_refused_handler(note, &called);
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    finalize();
    start([](void *) -> void * { return PyGILState_Ensure(), nullptr; });
    wait_until("the handler to be called", [] { return called == 1; });
    EXPECT(heard.text().find("routed code was not attached, because Python ends") != std::string::npos);
    end_child();
}
TEST_CASE("the message handler is told of a thread that is refused") {
    check_succeeds("a message for a refused thread");
}

CHILD("the answer that Python does not end stays true") {
    start_python();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    static latch asked{"the thread to have asked"}, ending{"the end to have begun"};
    static std::atomic<bool> has_worked{false};
    start([](void *) -> void * {
        EXPECT(!Py_IsFinalizing());
        EXPECT(!_Py_IsFinalizing()); // one ticket is enough
        asked.count_down();
        ending.wait();
        const int handle = PyGILState_Ensure();
        EXPECT(eval_int("6 * 7") == 42);
        PyGILState_Release(handle);
        EXPECT(Py_IsFinalizing());
        has_worked = true;
        return nullptr;
    });
    asked.wait();
    pyattach_exit_callback wake = [](pyattach_interpreter *, void *) { ending.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), wake, nullptr) == PYATTACH_OK);
    finalize();
    wait_until("the thread to have worked", [] { return has_worked.load(); });
}
CHILD("a thread that asks whether Python ends, and does nothing more") {
    start_python();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    latch asked{"the thread to have asked"}, has_ended{"Python to end"};
    task idle("the idle thread to end", [&] {
        EXPECT(!Py_IsFinalizing());
        asked.count_down();
        has_ended.wait();
    });
    asked.wait();
    const auto before = all_counters().exit_timeouts;
    finalize(); // a second later; the time-out is ten
    EXPECT(all_counters().exit_timeouts == before);
    has_ended.count_down();
    idle.join();
}
CHILD("a thread that asks whether Python ends, and ends itself") {
    start_python();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    run_on_thread([] { EXPECT(!Py_IsFinalizing()); });
    pyattach_set_exit_timeout(0);
    const auto before = all_counters().exit_timeouts;
    finalize();
    EXPECT(all_counters().exit_timeouts == before);
}
TEST_CASE("a thread that was told that Python does not end can attach once more") {
    check_succeeds("the answer that Python does not end stays true");
    check_succeeds("a thread that asks whether Python ends, and does nothing more", {{}, {}, std::chrono::seconds(8)});
    check_succeeds("a thread that asks whether Python ends, and ends itself");
}

CHILD("Py_IsFinalizing before, in and after Python") {
    EXPECT(!Py_IsFinalizing());
    start_python();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    EXPECT(!Py_IsFinalizing());
    static std::atomic<int> in_callback{-1};
    pyattach_exit_callback ask = [](pyattach_interpreter *, void *) { in_callback = Py_IsFinalizing(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), ask, nullptr) == PYATTACH_OK);
    finalize();
    EXPECT(in_callback == 1);
    EXPECT(Py_IsFinalizing());
}
TEST_CASE("Py_IsFinalizing is true as soon as the end has begun, and afterwards") {
    check_succeeds("Py_IsFinalizing before, in and after Python");
}

CHILD("a thread state that is asked for or made after the gate has closed") {
    start_python();
    pyattach_gilstate_set_refused_handler(note, &called);
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    finalize();
    run_on_thread([] { EXPECT(!PyGILState_GetThisThreadState()); });
    start([](void *) -> void * { return PyThreadState_New(nullptr); });
    wait_until("the handler to be called", [] { return called == 1; });
    end_child();
}
TEST_CASE("after the gate has closed no thread state is made") {
    check_succeeds("a thread state that is asked for or made after the gate has closed");
}
