// Native threads that end with a scope open: by a return, by pthread_exit, by pthread_cancel, after a longjmp.
// Destructors that run then may call the library, the thread is detached, and the message handler is told.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <csetjmp>
#include <pthread.h>
#include <unistd.h>

using namespace support;

namespace {

enum class ends { by_return, by_pthread_exit, by_pthread_cancel, after_longjmp };
enum class leaves { attached, detached, attached_inside, nested, section };
constexpr ends all_ends[] = {ends::by_return, ends::by_pthread_exit, ends::by_pthread_cancel, ends::after_longjmp};

pthread_key_t older_key;
std::atomic<int> destroyed, initialized;
pyattach_mutex lock = PYATTACH_MUTEX_INIT;
pyattach_interpreter *sub; // NULL: the main one

// Writes over what the thread's functions have left on its stack.
__attribute__((noinline)) void scribble(int depth) {
    volatile unsigned char room[256];
    for (unsigned i = 0; i < sizeof room; ++i)
        room[i] = static_cast<unsigned char>(depth % 2 ? 0x5a : 0);
    if (depth)
        scribble(depth - 1);
    room[3] = room[4];
}

// Every call that a TLS destructor may make, with any status: nothing may crash or hang.
__attribute__((noinline)) void use_everything(object *given) {
    pyattach_once once = PYATTACH_ONCE_INIT;
    EXPECT(pyattach_attach_depth() >= 0);
    const bool was_attached = cpython_says_attached();
    EXPECT(pyattach_is_attached() == was_attached);
    pyattach_mutex_lock(&lock);
    pyattach_mutex_unlock(&lock);
    EXPECT(pyattach_once_run(
               &once, [](void *) { return ++initialized, PYATTACH_OK; }, nullptr) == PYATTACH_OK);
    pyattach_attached scope;
    pyattach_detached gap;
    pyattach_critical_section section;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    EXPECT(pyattach_is_attached());
    if (pyattach_critical_section_begin(&section, given) == PYATTACH_OK)
        pyattach_critical_section_end(&section);
    object *made = nullptr;
    EXPECT(pyattach_eval("6 * 7", nullptr, nullptr, &made) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    pyattach_decref(made);
    EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
    pyattach_attached_end(&scope);
    EXPECT(pyattach_is_attached() == was_attached);
    if (pyattach_detached_begin(&gap) == PYATTACH_OK)
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
    pyattach_decref(given);
    ++destroyed;
}

struct local_owner {
    object *given = nullptr;
    ~local_owner() {
        if (!given)
            return;
        scribble(40);
        use_everything(given);
    }
};
thread_local local_owner local;

struct plan {
    ends how;
    leaves what;
    bool is_static;  // the scopes' storage
    bool asks_first; // a destructor uses everything before the library's exit hook runs
};

struct scopes_of_thread {
    pyattach_attached outer, inner;
    pyattach_detached gap;
    pyattach_critical_section section;
};
scopes_of_thread kept_scopes;
std::atomic<bool> is_ready;
thread_local std::jmp_buf outside;

__attribute__((noinline)) void open_scopes(const plan &wanted) {
    scopes_of_thread on_stack;
    scopes_of_thread &scopes = wanted.is_static ? kept_scopes : on_stack;
    EXPECT((sub ? pyattach_attached_begin_in(&scopes.outer, sub) : pyattach_attached_begin(&scopes.outer)) ==
           PYATTACH_OK);
    if (wanted.asks_first) {
        EXPECT(pyattach_eval("object()", nullptr, nullptr, &local.given) == PYATTACH_OK);
        object *second = nullptr;
        EXPECT(pyattach_eval("object()", nullptr, nullptr, &second) == PYATTACH_OK);
        pthread_setspecific(older_key, second);
    }
    if (wanted.what == leaves::nested)
        EXPECT(pyattach_attached_begin(&scopes.inner) == PYATTACH_OK);
    if (wanted.what == leaves::detached || wanted.what == leaves::attached_inside)
        EXPECT(pyattach_detached_begin(&scopes.gap) == PYATTACH_OK);
    if (wanted.what == leaves::attached_inside)
        EXPECT((sub ? pyattach_attached_begin_in(&scopes.inner, sub) : pyattach_attached_begin(&scopes.inner)) ==
               PYATTACH_OK);
    if (wanted.what == leaves::section)
        EXPECT(pyattach_critical_section_begin_mutex(&scopes.section, &lock) == PYATTACH_OK);
    is_ready = true;
    if (wanted.how == ends::by_pthread_exit)
        pthread_exit(nullptr);
    if (wanted.how == ends::after_longjmp)
        std::longjmp(outside, 1);
    while (wanted.how == ends::by_pthread_cancel)
        pause(); // is cancelled here
}

void *end_inside(void *wanted) {
    if (setjmp(outside) == 0)
        open_scopes(*static_cast<plan *>(wanted));
    else
        scribble(40);
    return nullptr;
}

void run_plan(plan wanted) {
    pthread_t thread;
    is_ready = false;
    EXPECT(pthread_create(&thread, nullptr, end_inside, &wanted) == 0);
    wait_until("the thread to be inside its scopes", [] { return is_ready.load(); });
    if (wanted.how == ends::by_pthread_cancel)
        EXPECT(pthread_cancel(thread) == 0);
    EXPECT(pthread_join(thread, nullptr) == 0);
    // Other threads can attach, and the next thread reuses this one's record.
    attached here;
    EXPECT(eval_int("1") == 1);
    if (!sub)
        EXPECT(pyattach_attach_depth() == 1);
}

size_t count_in(const std::string &text, const char *wanted) {
    size_t found = 0;
    for (size_t at = 0; (at = text.find(wanted, at)) != std::string::npos; ++at)
        ++found;
    return found;
}

void start_with_older_key() {
    EXPECT(pthread_key_create(&older_key, [](void *given) {
               scribble(40);
               use_everything(static_cast<object *>(given));
           }) == 0);
    start_python();
    pyattach_set_exit_timeout(-1); // a thread that is gone holds no exit up
}

void run_plans(std::initializer_list<leaves> all_leaves) {
    messages heard;
    size_t ended = 0;
    for (ends how : all_ends)
        for (leaves what : all_leaves)
            for (bool is_static : {false, true})
                for (bool asks_first : {false, true}) {
                    const int before = destroyed;
                    run_plan({how, what, is_static, asks_first});
                    EXPECT(destroyed == before + (asks_first ? 2 : 0));
                    ++ended;
                    EXPECT_SENTENCE(count_in(heard.text(), " scope open.") == ended, heard.text());
                }
    EXPECT(initialized == destroyed);
}

} // namespace

CHILD("threads that end attached") {
    start_with_older_key();
    run_plans({leaves::attached, leaves::nested, leaves::attached_inside});
    EXPECT(!stop_python());
}
TEST_CASE("a thread that ends in an attached scope is detached, whatever its destructors do first") {
    check_succeeds("threads that end attached");
}

CHILD("threads that end detached") {
    start_with_older_key();
    run_plans({leaves::detached});
    EXPECT(!stop_python());
}
TEST_CASE("a thread that ends in a detached scope leaves the interpreter, whatever its destructors do first") {
    check_succeeds("threads that end detached");
}

CHILD("threads that end in a state made for the scope") {
    pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED);
    start_with_older_key();
    run_plans({leaves::attached, leaves::nested, leaves::attached_inside, leaves::detached});
    EXPECT(!stop_python());
}
TEST_CASE("a thread that ends in a detached scope leaves the interpreter, if its tstate was made for the scope") {
    check_succeeds("threads that end in a state made for the scope");
}

CHILD("threads that end in a sub-interpreter") {
    start_with_older_key();
    {
        attached here;
        sub_interpreter other;
        sub = other.handle();
        foreign_detach gap;
        messages heard;
        for (ends how : all_ends)
            for (bool is_static : {false, true})
                run_plan({how, leaves::attached, is_static, false});
        EXPECT_SENTENCE(count_in(heard.text(), "an attached scope open.") == 8, heard.text());
    } // ends it, which aborts up to 3.13 if a state is left
    EXPECT(!stop_python());
}
CHILD("the Python has assertions that forbid deleting the state") {
    start_python();
    EXPECT(is_debug_build() && python_version() >= 0x030c0000 && python_version() < 0x030e0000);
}
TEST_CASE("Py_EndInterpreter works for a sub-interpreter in which a thread ended attached") {
    if (run_child("the Python has assertions that forbid deleting the state").exit_code != 0)
        check_succeeds("threads that end in a sub-interpreter");
}

CHILD("a thread ends with a nested scope open in what other code attached") {
    start_with_older_key();
    messages heard;
    run_on_thread([] {
        static pyattach_attached nested;
        foreign_attach other;
        EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
    });
    EXPECT_SENTENCE(count_in(heard.text(), "left alone") == 1, heard.text());
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a tstate with which other code attached the thread is left to that code when the thread ends") {
    check_succeeds("a thread ends with a nested scope open in what other code attached");
}

CHILD("a thread ends in a critical section") {
    start_with_older_key();
    messages heard;
    run_plan({ends::by_return, leaves::section, true, false});
    run_plan({ends::by_pthread_exit, leaves::section, true, false});
    EXPECT_SENTENCE(count_in(heard.text(), "an attached scope open") == 2, heard.text());
    EXPECT(!pyattach_mutex_is_locked(&lock));
    EXPECT(!stop_python());
}
TEST_CASE("a critical section whose storage is still there ends with its thread") {
    check_succeeds("a thread ends in a critical section");
}

CHILD("a thread ends in a critical section on its stack") {
    start_with_older_key();
    static std::string heard;
    pyattach_set_message_handler([](const char *text, void *) { heard += text; }, nullptr);
    run_on_thread([] {
        plan wanted = {ends::by_return, leaves::section, false, false};
        end_inside(&wanted);
    });
    const char *expected =
        is_free_threaded() ? "cannot be detached" : "an attached scope open. The library detached the thread";
    EXPECT_SENTENCE(count_in(heard, expected) == 1, heard);
    end_child();
}
TEST_CASE("a thread whose open critical section lay on its stack stays attached at its end, and a message says so") {
    check_succeeds("a thread ends in a critical section on its stack");
}
