// Sub-interpreters: native threads attach to a named one and return, and references are released in their own one.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <memory>

#include "process/interpreter_kinds.hpp"

using namespace support;

namespace {

// Two sub-interpreters, each with a mark in its __main__. Leaves the caller detached.
struct pair_of_interpreters {
    std::unique_ptr<sub_interpreter> first, second;
    pyattach_interpreter *main, *a, *b;
    pair_of_interpreters() {
        start_python();
        attached here;
        main = pyattach_interpreter_main();
        first = std::make_unique<sub_interpreter>(kind_asked_for());
        second = std::make_unique<sub_interpreter>(kind_asked_for());
        a = first->handle();
        b = second->handle();
        mark(main);
        mark(a);
        mark(b);
    }
    void mark(pyattach_interpreter *interp) {
        attached there(interp);
        run("import sys; sys.name = '" + std::string(name_of(interp)) + "'");
    }
    const char *name_of(pyattach_interpreter *interp) const {
        return interp == main ? "main" : interp == a ? "a" : "b";
    }
    void expect_in(pyattach_interpreter *interp) const {
        EXPECT(pyattach_is_attached() == 1);
        EXPECT(pyattach_interpreter_current() == interp);
        EXPECT(eval_text("__import__('sys').name") == name_of(interp));
    }
    void end() {
        {
            attached here;
            first->end();
            second->end();
        }
        EXPECT(!stop_python());
    }
};

} // namespace

CHILD("in and out of sub-interpreters") {
    pair_of_interpreters all;
    auto visit_from_here = [&](pyattach_interpreter *from) {
        void *slot = gilstate_tstate();
        for (pyattach_interpreter *interp : {all.a, all.b, all.a, all.main}) {
            {
                attached there(interp);
                all.expect_in(interp);
                {
                    detached gap;
                    EXPECT(pyattach_is_attached() == 0);
                }
                all.expect_in(interp);
            }
            // The GILState slot holds what it held before. (An attach to the main interpreter leaves a warm tstate in
            // a slot that was empty.)
            if (interp == all.main && !slot)
                slot = gilstate_tstate();
            EXPECT(gilstate_tstate() == slot);
            if (from)
                all.expect_in(from);
            else
                EXPECT(pyattach_is_attached() == 0);
        }
    };
    run_on_thread([&] {
        visit_from_here(nullptr); // a thread without any state
        {
            attached here;
            visit_from_here(all.main);
            detached gap;
            visit_from_here(nullptr);
        }
        visit_from_here(nullptr); // one with a warm state
        attached there(all.a);
        visit_from_here(all.a);
        detached gap;
        visit_from_here(nullptr);
    });
    run_on_thread([&] { // one with a state of other code's
        foreign_attach outer;
        visit_from_here(all.main);
        foreign_detach gap;
        visit_from_here(nullptr);
    });
    visit_from_here(nullptr); // the main thread
    all.end();
}
TEST_CASE("a thread that leaves an interpreter is attached to the previous one again") {
    check_each_kind("in and out of sub-interpreters");
}

CHILD("the same interpreter twice on one thread") {
    pair_of_interpreters all;
    auto expect_one_state = [&] {
        attached outer(all.a);
        void *state = current_tstate();
        attached between(all.b);
        attached home(all.main);
        attached inner(all.a);
        all.expect_in(all.a);
        EXPECT(current_tstate() == state);
        inner.end();
        all.expect_in(all.main);
        home.end();
        all.expect_in(all.b);
        between.end();
        EXPECT(current_tstate() == state);
        all.expect_in(all.a);
    };
    run_on_thread(expect_one_state);
    run_on_thread([&] {
        attached here;
        expect_one_state();
    });
    {
        // A Python thread returns to its own tstate also in a nested scope.
        foreign_attach here;
        void *tstate = current_tstate();
        attached there(all.a);
        attached home(all.main);
        EXPECT(current_tstate() == tstate);
    }
    all.end();
}
TEST_CASE("a nested attach to an interpreter further out uses the thread's tstate there") {
    check_each_kind("the same interpreter twice on one thread");
}

CHILD("references of sub-interpreters") {
    pair_of_interpreters all;
    run_on_thread([&] {
        attached there(all.a);
        auto born_here = [] {
            return object_with_finalizer("import sys; sys.deaths = getattr(sys, 'deaths', []) + [sys.name]");
        };
        ref first = born_here(), second = born_here(), third = born_here();
        {
            detached gap; // below begin_in: the thread is detached from the other interpreter
            first.drop();
            attached home;
            EXPECT(pyattach_interpreter_current() == all.main);
            EXPECT(pyattach_pool_size() == 0);
            EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        }
        EXPECT(eval_text("__import__('sys').deaths[-1]") == "a");
        {
            forbidden traverse; // as in a tp_traverse of that interpreter's collector
            second.drop();
        }
        EXPECT(pyattach_pool_size() == 1);
        {
            attached other(all.b);
            pyattach_decref_in(all.a, third.release());
            EXPECT(pyattach_pool_size() == 0);
            EXPECT(pyattach_pool_drain() == PYATTACH_OK);
            EXPECT(!eval_true("hasattr(__import__('sys'), 'deaths')"));
        }
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        EXPECT(eval_int("len(__import__('sys').deaths)") == 3);
        // References that wait when it ends are released there, too.
        ref last = object_with_finalizer("import sys; print('released in', sys.name, flush=True)");
        there.end();
        pyattach_decref_in(all.a, last.release());
    });
    all.end();
}
TEST_CASE("a reference is released in its own interpreter, wherever it is dropped") {
    for (auto kind : kinds()) {
        child_result result =
            run_child("references of sub-interpreters", {{kind == sub_interpreter::own_gil ? "own" : "legacy"}});
        check_succeeds(result);
        CHECK(result.output == "released in a\n");
    }
}

CHILD("threads that take turns in an interpreter without states") {
    start_python();
    attached here;
    sub_interpreter sub(sub_interpreter::own_gil);
    pyattach_interpreter *handle = sub.handle();
    sub.end_first_state();
    {
        detached gap;
        std::atomic<int> through{0};
        auto come_and_go = [&] {
            for (int round = 0; round < 3000; ++round)
                through += try_to_attach_in(handle) == PYATTACH_OK;
        };
        run_on_thread([&] {
            task other("the other thread to end", come_and_go);
            come_and_go();
            other.join();
        });
        EXPECT(through == 6000);
    }
    sub.end();
    EXPECT(try_to_attach_in(handle) == PYATTACH_FINALIZING);
}
TEST_CASE("threads attach and detach in a sub-interpreter without any tstate") {
    load_python();
    // Before, it is CPython that cannot make a state where there is none (gh-126914): 3.12 never, 3.13.0 now and then.
    if (python_version() >= 0x030d0100)
        check_succeeds("threads that take turns in an interpreter without states");
}

CHILD("first met as it ends") {
    start_python();
    attached here;
    sub_interpreter sub(kind_asked_for());
    static pyattach_status status = PYATTACH_OK;
    sub.inside([] {
        publish("meet", native_function([] {
                    pyattach_interpreter *handle = pyattach_interpreter_current();
                    EXPECT(handle);
                    foreign_detach gap;
                    run_on_thread([&] { status = try_to_attach_in(handle); });
                }));
        run("import atexit, threading; atexit.register(meet)");
    });
    sub.end(); // and finds no thread state that is left
    EXPECT_SENTENCE(status == PYATTACH_FINALIZING, std::to_string(status));
}
TEST_CASE("a sub-interpreter that is registered during its end refuses to attach, and keeps nothing") {
    load_python();
    if (sees_switches())
        check_each_kind("first met as it ends");
}

CHILD("first met by its last destructors") {
    start_python();
    attached here;
    sub_interpreter sub(kind_asked_for());
    static int met = 0;
    sub.inside([] {
        publish("meet", native_function([] {
                    pyattach_interpreter_current();
                    ++met;
                }));
        run("import builtins, sys\n"
            "class Last:\n"
            "    def __init__(self, call): self.call = call\n"
            "    def __del__(self): self.call()\n"
            "sys.last = Last(meet)\n"
            "builtins.last = Last(meet)\n"
            "last = Last(meet)\n"
            "last.itself = last");
    });
    sub.end();
    EXPECT_SENTENCE(met == 3, std::to_string(met));
}
TEST_CASE("a sub-interpreter that is registered by its last destructors has no modules") {
    load_python();
    if (sees_switches())
        check_each_kind("first met by its last destructors");
}
