// Group 3, the rest: the pool under load, across restarts and interpreters, and objects with special destructors.
#include "conformance/conformance.hpp"

#include <stdexcept>
#include <ucontext.h>

#include "support/pending_exception.hpp"

CHILD("drops a buffer after the end") {
    start_python();
    ref view, other;
    {
        attached here;
        view = eval("memoryview(bytearray(b'held'))");
        other = new_object();
    }
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(!stop_python());
    auto before = all_counters();
    view.drop();
    may_leak(other);
    run_on_thread([&] { pyattach_decref_in(main, other.release()); });
    EXPECT(all_counters().drops_leaked == before.drops_leaked + 2);
    EXPECT(pyattach_pool_size() == 0);
    EXPECT(cpython<int()>("Py_IsInitialized")() == 0);
    EXPECT(try_to_attach() == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("PyO3 test_pybuffer_drop_without_interpreter") { check_succeeds("drops a buffer after the end"); }

// A decref can be deferred until its interpreter ends; one of an ended interpreter cannot.
CHILD("drops what cannot be deferred in a forbidden scope") {
    start_python();
    pyattach_interpreter *first_life = pyattach_interpreter_main();
    object *of_first_life = nullptr;
    {
        attached here;
        of_first_life = new_object().release();
        may_leak(of_first_life);
    }
    EXPECT(!stop_python());
    start_python();
    attached here;
    ref buffer = eval("memoryview(bytearray(b'held'))");
    auto before = all_counters();
    {
        forbidden traverse;
        pyattach_decref_in(first_life, of_first_life);
        EXPECT(all_counters().drops_leaked == before.drops_leaked + 1);
        buffer.drop();
        EXPECT(all_counters().drops_queued == before.drops_queued + 1);
    }
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(all_counters().drops_leaked == before.drops_leaked + 1);
    here.end();
    EXPECT(!stop_python());
}
TEST_CASE("PyO3 test_drop_buffer_during_traversal_without_gil") {
    check_succeeds("drops what cannot be deferred in a forbidden scope");
}

TEST_CASE("PyO3 drop_unsendable_elsewhere") {
    start_python();
    attached here;
    run("import sys, threading\n"
        "told, died_at_home = [], []\n"
        "sys.unraisablehook = lambda it: told.append(str(it.exc_value))\n"
        "class Unsendable:\n"
        "    def __init__(self): self.home = threading.get_ident()\n"
        "    def __del__(self):\n"
        "        died_at_home.append(threading.get_ident() == self.home)\n"
        "        if not died_at_home[0]: raise RuntimeError('dropped elsewhere')\n");
    ref bound = eval("Unsendable()");
    {
        detached gap;
        run_on_thread([&] {
            attached there;
            detached inner_gap;
            bound.drop();
        }); // whose end releases it, there
    }
    // Without a GIL a decref queues the object to the thread that made it, which destroys it when it runs next.
    wait_until("the object to die", [] { return eval_int("len(died_at_home)") == 1; });
    CHECK((eval_text("told") == "['dropped elsewhere']" || (is_free_threaded() && eval_true("died_at_home[0]"))));
    run("sys.unraisablehook = sys.__unraisablehook__; del Unsendable");
}

namespace {

pthread_t home_of_unsendable;

// A method of a native extension: C++ inside, whose exception becomes a Python exception.
object *use_unsendable(object *, object *) {
    return pyattach::callback([](pyattach::token py) {
        if (!pthread_equal(pthread_self(), home_of_unsendable))
            throw std::runtime_error("unsendable, used on another thread");
        return py.from(42);
    });
}

struct method {
    const char *name;
    object *(*call)(object *, object *);
    int flags;
    const char *documentation;
} use_method = {"use", use_unsendable, 4, nullptr};

void use_elsewhere(const char *type) {
    home_of_unsendable = pthread_self();
    attached here;
    ref function(cpython<object *(method *, object *, object *)>("PyCFunction_NewEx")(&use_method, nullptr, nullptr));
    publish("use_native", function);
    run("class Base:\n    def use(self): return use_native()\nclass Child(Base): pass\n");
    std::string expression = std::string(type) + "().use()";
    CHECK(eval_int(expression) == 42);
    detached gap;
    run_on_thread([&] {
        attached there;
        object *result = nullptr;
        CHECK(pyattach_eval(expression.c_str(), nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
        CHECK(take_error() == "RuntimeError: unsendable, used on another thread");
    });
}

} // namespace

TEST_CASE("PyO3 panic_unsendable_base") {
    start_python();
    use_elsewhere("Base");
}
TEST_CASE("PyO3 panic_unsendable_child") {
    start_python();
    use_elsewhere("Child");
}

// Two stacks on one thread that switch inside their scopes, as greenlets do.
namespace {

ucontext_t thread_context, greenlets[2];
object *owned_by_greenlet[2];

void greenlet(int own_turn) {
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    pyattach::owned made = pyattach::token::assume().eval("[" + std::to_string(own_turn) + "]");
    owned_by_greenlet[own_turn] = made.get();
    for (int i = 0; i < 5; ++i) {
        pyattach_attached inner;
        EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
        swapcontext(&greenlets[own_turn], &greenlets[1 - own_turn]);
        EXPECT(reference_count(made.get()) == 1);
        pyattach_attached_end(&inner);
    }
    pyattach_attached_end(&scope); // the first of the two to end leaves the other's alone
    owned_by_greenlet[own_turn] = made.release();
}

} // namespace

TEST_CASE("PyO3 test_gevent") {
    start_python();
    attached here;
    alignas(64) char stacks[2][1 << 19]; // on the thread's own stack, whose bounds newer Pythons look at
    for (int i = 0; i < 2; ++i) {
        REQUIRE(getcontext(&greenlets[i]) == 0);
        greenlets[i].uc_stack = {};
        greenlets[i].uc_stack.ss_sp = stacks[i];
        greenlets[i].uc_stack.ss_size = sizeof stacks[i];
        greenlets[i].uc_link = i == 0 ? &greenlets[1] : &thread_context;
        makecontext(&greenlets[i], reinterpret_cast<void (*)()>(reinterpret_cast<void *>(&greenlet)), 1, i);
    }
    REQUIRE(swapcontext(&thread_context, &greenlets[0]) == 0);
    CHECK(pyattach_attach_depth() == 1);
    for (object *reference : owned_by_greenlet) {
        REQUIRE(reference);
        CHECK(reference_count(reference) == 1);
        pyattach_decref(reference);
    }
}

TEST_CASE("jni-rs global_ref_works_in_other_threads") {
    start_python();
    pyattach::owned counter;
    {
        pyattach::attached here;
        here.token().run("import threading\n"
                         "class Counter:\n"
                         "    def __init__(self): self.value, self.lock = 0, threading.Lock()\n"
                         "    def increment(self):\n"
                         "        with self.lock: self.value += 1\n");
        counter = here.token().eval("Counter()");
    }
    for (int threads : {2, 8}) {
        {
            pyattach::attached here;
            here.token().set_attribute(counter, "value", 0);
        }
        run_on_threads(threads, "an incrementing thread to end", [&](int) {
            pyattach::attached there; // each round again: threads take turns
            for (int round = 0; round < 10000; ++round) {
                pyattach::attached nested;
                nested.token().call_method(counter, "increment");
            }
        });
        pyattach::attached here;
        CHECK(here.token().to<int>(here.token().get_attribute(counter, "value")) == threads * 10000);
    }
}

TEST_CASE("CPython test_incref_decref_API") {
    start_python();
    attached here;
    ref kept = new_object();
    for (int i = 0; i < 1000; ++i)
        REQUIRE(pyattach_incref(kept) == PYATTACH_OK);
    CHECK(reference_count(kept) == 1001);
    for (int i = 0; i < 1000; ++i)
        i % 2 ? pyattach_decref(kept) : pyattach_decref_in(pyattach_interpreter_main(), kept);
    CHECK(reference_count(kept) == 1);
}
