// Failures in the collector, of decref queues, at loading, and failures without a message.
#include "conformance/failure.hpp"

#include <dlfcn.h>

#include "support/pending_exception.hpp"
#include "conformance/native_type.hpp"

// --- 12: tp_traverse that counts references -------------------------------------------------------------------------

namespace {

// Whether Python code ran inside tp_traverse: that of the destructor of what is dropped there. 2: and then it ran.
long drop_in_traverse(void (*drop)(object *)) {
    run("import gc\n"
        "died = []\n"
        "class Mortal:\n"
        "    __slots__ = ()\n"
        "    def __del__(self): died.append(1)\n");
    object *victim = eval("Mortal()").release();
    ref died = eval("died");
    std::ptrdiff_t during = -1;
    auto *size = cpython<std::ptrdiff_t(object *)>("PyList_Size");
    make_traversed_type({[&](object *held, const visit &visitor) {
                             return pyattach::during_traverse([&] {
                                 if (victim) {
                                     drop(std::exchange(victim, nullptr));
                                     during = size(died);
                                 }
                                 return visitor(held);
                             });
                         },
                         nullptr});
    run("gc.disable(); one = Holder([]); gc.collect(); gc.enable(); del one");
    return during;
}

} // namespace

CHILD("12 plain") {
    start_python();
    attached here;
    must_end_soon();
    answer(drop_in_traverse([](object *it) { cpython<void(object *)>("Py_DecRef")(it); }) == 0);
    end_child();
}
CHILD("12 with us") {
    start_python();
    attached here;
    answer(drop_in_traverse(pyattach_decref) == 0);
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(eval_int("len(died)") == 1);
    here.end();
    EXPECT(!stop_python());
}
TEST_CASE("failure 12: a reference dropped in tp_traverse runs Python inside the collector") {
    about python;
    // Without a GIL the world is stopped then, and the outcome is not defined.
    check_plain("12 plain", {outcome::wrong_answer, outcome::crashed}, !python.is_free_threaded);
    check_succeeds("12 with us");
}

// --- 15: queues of deferred decrefs ---------------------------------------------------------------------------------

namespace {
constexpr int many = 5000;
} // namespace

// CPython's own facility: Py_AddPendingCall, whose queue has 32 places, or 300.
CHILD("15 plain") {
    auto &py = start_plain();
    object *shared = plain_eval("object()");
    for (int i = 0; i < many; ++i)
        py.incref(shared);
    py.save();
    auto *add = plain::cpython<int(int (*)(void *), void *)>("Py_AddPendingCall");
    auto drop = [](void *it) {
        plain::python().decref(static_cast<object *>(it));
        return 0;
    };
    int refused = 0;
    for (int i = 0; i < many; ++i)
        refused += add(drop, shared) != 0;
    answer(refused == 0);
}
CHILD("15 with us") {
    start_python();
    ref shared;
    {
        attached here;
        shared = new_object();
        for (int i = 0; i < many; ++i)
            EXPECT(pyattach_incref(shared) == PYATTACH_OK);
    }
    auto before = all_counters();
    for (int i = 0; i < many; ++i)
        pyattach_decref(shared);
    auto after = all_counters();
    answer(after.drops_queued == before.drops_queued + many && after.drops_leaked == before.drops_leaked);
    attached here; // pays for no more than its budget
    answer(pyattach_pool_size() >= many - 256);
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    answer(reference_count(shared) == 1);
    answer(all_counters().pool_high_water >= many);
}
TEST_CASE("failure 15: a queue of decrefs that is full, or that makes one thread pay for all") {
    check_plain("15 plain", outcome::wrong_answer);
    check_succeeds("15 with us");
}

// --- 18: loading under RTLD_LOCAL -----------------------------------------------------------------------------------

CHILD("18 plain") {
    EXPECT(dlopen(libpython().c_str(), RTLD_NOW | RTLD_LOCAL)); // as a host does that loads its plugins so
    answer(dlopen(CONFORMANCE_UNLINKED, RTLD_NOW | RTLD_LOCAL) != nullptr);
}
CHILD("18 with us") {
    void *python = dlopen(libpython().c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT(python);
    EXPECT(dlopen(TESTS_LIBRARY, RTLD_NOW | RTLD_LOCAL));
    reinterpret_cast<void (*)(int)>(dlsym(python, "Py_InitializeEx"))(0);
    answer(pyattach_is_attached() == 1); // no path was named: it is found
    attached here;
    answer(eval_int("6 * 7") == 42);
}
TEST_CASE("failure 18: unresolved symbols where libpython was loaded RTLD_LOCAL") {
    check_plain("18 plain", outcome::wrong_answer);
    check_succeeds("18 with us", {{}, {{"PYTHONEXECUTABLE", ""}}});
}

// --- 20: the reason is lost -----------------------------------------------------------------------------------------

CHILD("20 plain") {
    auto &py = start_plain();
    EXPECT(py.run("import sys\ntold = []\nsys.unraisablehook = lambda it: told.append(it.exc_type.__name__)\n",
                  nullptr) == 0);
    auto *set = plain::cpython<void(object *, const char *)>("PyErr_SetString");
    auto **type = static_cast<object **>(plain::address_of("PyExc_ValueError"));
    py.save();
    run_on_thread([&] {
        plain_attach here;
        set(*type, "lost"); // a callback that fails, in code that does not look
    });
    plain_attach here;
    answer(plain_int("len(told)") == 1);
}
CHILD("20 with us") {
    start_python();
    {
        attached here;
        run("import sys\ntold = []\nsys.unraisablehook = lambda it: told.append(str(it.exc_value))\n");
    }
    run_on_thread([] {
        attached here;
        object *result = nullptr;
        EXPECT(pyattach_eval("{}['kept']", nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
    });
    {
        attached here;
        answer(eval_text("told") == "[\"'kept'\"]");
        answer(take_error() == "no exception");
    }
    EXPECT(!stop_python());
    // A refusal says why.
    answer(try_to_attach() == PYATTACH_NOT_INITIALIZED);
    forbidden traverse;
    answer(try_to_attach() == PYATTACH_FORBIDDEN);
    answer(all_counters().refused == 2);
}
TEST_CASE("failure 20: nobody is told what went wrong") {
    check_plain("20 plain", outcome::wrong_answer);
    check_succeeds("20 with us");
}
