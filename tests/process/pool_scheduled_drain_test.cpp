// Drains that are scheduled with Py_AddPendingCall when no thread attaches: how often, over the high-water mark, and
// while the main thread must not drain. The executable interposes Py_AddPendingCall.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <memory>
#include <vector>

#include "support/late_tls_destructor.hpp"
#include "support/sub_interpreter.hpp"

using namespace support;

namespace {

std::atomic<int> asked{0};
int (*last_call)(void *);
void *last_argument;

} // namespace

extern "C" __attribute__((visibility("default"))) int Py_AddPendingCall(int (*call)(void *), void *arg) {
    last_call = call;
    last_argument = arg;
    ++asked;
    return cpython<int(int (*)(void *), void *)>("Py_AddPendingCall")(call, arg);
}

namespace {

constexpr int many = 20000; // far more than a pool holds before it is crowded

void start_python_in_scope() {
    cpython_symbol("Py_GetVersion"); // loads it RTLD_GLOBAL, so that the library looks in the global scope
    start_python();
}

ref object_with(int references) {
    ref object = new_object();
    for (int i = 1; i < references; ++i)
        EXPECT(pyattach_incref(object) == PYATTACH_OK);
    return object;
}

void drop_all(object *object, int references) {
    for (int i = 0; i < references; ++i)
        pyattach_decref(object);
}

// Another thread drops the references while this one is detached; a scheduled drain may run in between.
void drop_elsewhere(object *object, int references) {
    foreign_detach gap;
    run_on_thread([&] { drop_all(object, references); });
}

// Pending calls may run in any of these rounds.
void let_python_run() { run("for i in range(20000): pass"); }

// Only Python code runs. The test's deadline ends a hang.
void let_python_run_until_released(object *object) {
    publish("object", object);
    run("import sys, time\nwhile sys.getrefcount(object) > 100: time.sleep(0)\ndel object");
}

// `quiet` begins what forbids automatic drains on this thread, and `loud` ends it.
template <class Quiet, class Loud> void check_asked_once_until(Quiet quiet, Loud loud) {
    start_python_in_scope();
    attached here;
    ref object = object_with(many + 1);
    quiet();
    const int before = asked;
    drop_elsewhere(object, many);
    const int when_dropped = asked;
    let_python_run();
    const int while_quiet = asked;
    const size_t waited = pyattach_pool_size();
    loud();
    const int when_loud = asked;
    let_python_run_until_released(object);
    CHECK(when_dropped == before + 1);
    CHECK(while_quiet == when_dropped); // not again and again
    CHECK(waited == many);
    CHECK(when_loud == while_quiet + 1);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

} // namespace

TEST_CASE("with a drain budget of 0 a drain is scheduled once, and again when there is a budget") {
    check_asked_once_until([] { pyattach_set_drain_budget(0); }, [] { pyattach_set_drain_budget(256); });
}

TEST_CASE("while the main thread holds a mutex a drain is scheduled once, and again when the mutex is unlocked") {
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    check_asked_once_until([] { pyattach_mutex_lock(&mutex); }, [] { pyattach_mutex_unlock(&mutex); });
}

TEST_CASE("while the main thread holds two mutexes a drain is scheduled again when the second one is unlocked") {
    static pyattach_mutex outer = PYATTACH_MUTEX_INIT, inner = PYATTACH_MUTEX_INIT;
    check_asked_once_until(
        [] {
            pyattach_mutex_lock(&outer);
            pyattach_mutex_lock(&inner);
        },
        [] {
            const int before = asked;
            pyattach_mutex_unlock(&inner);
            CHECK(asked == before);
            pyattach_mutex_unlock(&outer);
        });
}

TEST_CASE("while a critical section is open a drain is scheduled once, and again when the section has ended") {
    static pyattach_critical_section section;
    ref guarded;
    check_asked_once_until(
        [&] {
            guarded = new_object();
            EXPECT(pyattach_critical_section_begin(&section, guarded) == PYATTACH_OK);
        },
        [] { pyattach_critical_section_end(&section); });
}

TEST_CASE("references past the high-water mark during a drain are released by a scheduled drain afterwards") {
    start_python_in_scope();
    attached here;
    ref object = object_with(many + 1);
    publish("native", native_function([&] {
                drop_elsewhere(object, many);
                let_python_run(); // Python asks in the middle of the drain
            }));
    ref first = object_with_finalizer("native()");
    {
        foreign_detach gap;
        first.drop();
    }
    pyattach_set_drain_budget(1);
    const int before = asked;
    { attached drains_the_first; }
    pyattach_set_drain_budget(256);
    const int after = asked;
    const size_t waited = pyattach_pool_size();
    let_python_run_until_released(object);
    run("del native");
    CHECK(waited == many);
    CHECK(after == before + 2); // by the thread that gave them back, and when the drain was over
    CHECK(reference_count(object) == 1);
}

TEST_CASE("short-lived threads that each decref a few objects do not fill the pool while only Python runs") {
    constexpr int threads = 200, each = 100;
    start_python_in_scope();
    attached here;
    ref object = object_with(threads * each + 1);
    size_t most = 0;
    for (int i = 0; i < threads; ++i) {
        drop_elsewhere(object, each);
        run("for i in range(100): pass");
        const size_t waiting = pyattach_pool_size();
        most = waiting > most ? waiting : most;
    }
    CHECK(most < 5000); // as of one thread that gives back as many
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("living threads that each queued some hundred decrefs cause a scheduled drain, too") {
    constexpr int threads = 16, each = 1000;
    start_python_in_scope();
    attached here;
    ref object = object_with(threads * each + 1);
    const int before = asked;
    latch dropped("all threads to have given back", threads), is_over("the test to be over");
    {
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < threads; ++i)
            tasks.push_back(std::make_unique<task>("a living thread to end", [&] {
                drop_all(object, each);
                dropped.count_down();
                is_over.wait();
            }));
        dropped.wait();
        CHECK(asked > before);
        is_over.count_down();
    }
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("threads that decref in destructors after the library's exit hook do not fill the pool") {
    constexpr int threads = 200, each = 100;
    start_python_in_scope();
    late_tls_destructor::key(); // its thread attaches
    attached here;
    ref object = object_with(threads * (each + 1) + 1);
    size_t most = 0;
    for (int i = 0; i < threads; ++i) {
        {
            foreign_detach gap;
            late_tls_destructor late{[&] { drop_all(object, each); }, 0};
            run_on_thread([&] {
                pyattach_decref(object); // which arms the library's hook, and drains nothing
                pthread_setspecific(late_tls_destructor::key(), &late);
            });
        }
        run("for i in range(100): pass");
        const size_t waiting = pyattach_pool_size();
        most = waiting > most ? waiting : most;
    }
    CHECK(most > 0);
    CHECK(most < 5000);
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(object) == 1);
}

CHILD("python ends with a crowded pool and no budget") {
    start_python_in_scope();
    {
        attached here;
        ref object = object_with(many + 1);
        pyattach_set_drain_budget(0);
        drop_elsewhere(object, many);
        let_python_run();
        EXPECT(pyattach_pool_size() == many);
    }
    EXPECT(stop_python() == nullptr);
}
TEST_CASE("finalization completes although many references wait that no automatic drain may release") {
    check_succeeds("python ends with a crowded pool and no budget");
}

// Up to 3.11 CPython does that: it queues a call where the thread is that holds the GIL.
TEST_CASE("a scheduled drain that is called in a sub-interpreter releases nothing there") {
    start_python_in_scope();
    attached here;
    sub_interpreter sub;
    ref object = object_with(many + 1);
    const int before = asked;
    drop_elsewhere(object, many);
    REQUIRE(asked == before + 1);
    const size_t waited = pyattach_pool_size();
    sub.inside([] { EXPECT(last_call(last_argument) == 0); });
    CHECK(pyattach_pool_size() == waited);
    let_python_run_until_released(object);
    CHECK(reference_count(object) == 1);
}
