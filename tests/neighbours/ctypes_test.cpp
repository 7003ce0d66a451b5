// Callbacks that ctypes makes out of Python functions: CFUNCTYPE attaches by itself, PYFUNCTYPE takes it for granted.
// They are called where native code calls them: on fresh threads, on warm ones, inside our scopes and in their gaps.
#include <mutex>

#include "support/catch.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

namespace {

using callback = int(int);

// What Python calls back: nothing can be thrown through ctypes, so the first failure is kept.
std::mutex failed_lock;
std::string failed;
int kept_failure(const std::function<int()> &body) {
    try {
        return body();
    } catch (const std::exception &error) {
        std::lock_guard<std::mutex> hold(failed_lock);
        if (failed.empty())
            failed = error.what();
        return -1;
    }
}

// Through CFUNCTYPE: ctypes let go of the interpreter.
int called_detached(int number) {
    return kept_failure([&] {
        EXPECT(!is_attached());
        pyattach_detached refused;
        EXPECT(pyattach_detached_begin(&refused) == PYATTACH_NOT_ATTACHED);
        {
            attached here;
            EXPECT(is_attached());
            EXPECT(pyattach_attach_depth() >= 1);
            EXPECT(eval_int("2 + 2") == 4);
            detached gap;
            EXPECT(!is_attached());
        }
        EXPECT(!is_attached());
        return number;
    });
}

// Through PYFUNCTYPE: it did not.
int called_attached(int number) {
    return kept_failure([&] {
        EXPECT(is_attached());
        {
            detached gap;
            EXPECT(!is_attached());
            attached again;
            EXPECT(eval_int("2 + 3") == 5);
        }
        EXPECT(is_attached());
        return number;
    });
}

callback *address_of(const char *name) {
    return reinterpret_cast<callback *>(eval_int(std::string("ctypes.cast(") + name + ", ctypes.c_void_p).value"));
}

// `cfunc` and `pyfunc`: each calls Python, which calls both functions above and returns three times the number.
struct callbacks {
    callback *cfunc, *pyfunc, *raises, *deep;
};
const callbacks &python_side() {
    start_python_with("ctypes");
    static const callbacks all = [] {
        attached here;
        auto publish_address = [](const char *name, callback *function) {
            object *number = nullptr;
            EXPECT(pyattach_from_int64(reinterpret_cast<std::int64_t>(function), &number) == PYATTACH_OK);
            publish(name, ref(number));
        };
        publish_address("detached_address", called_detached);
        publish_address("attached_address", called_attached);
        run("import ctypes\n"
            "kind, keeping = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int), ctypes.PYFUNCTYPE(ctypes.c_int, "
            "ctypes.c_int)\n"
            "call_detached, call_attached = kind(detached_address), keeping(attached_address)\n"
            "def thrice(n): return n + call_detached(n) + call_attached(n)\n"
            "def fail(n): raise ValueError(n)\n"
            "def descend(n): return n and 1 + kind(ctypes.cast(deep, ctypes.c_void_p).value)(n - 1)\n"
            "cfunc, pyfunc, raises, deep = kind(thrice), keeping(thrice), kind(fail), kind(descend)\n");
        return callbacks{address_of("cfunc"), address_of("pyfunc"), address_of("raises"), address_of("deep")};
    }();
    return all;
}

void check_no_failure() {
    std::lock_guard<std::mutex> hold(failed_lock);
    INFO(failed);
    CHECK(failed.empty());
}

} // namespace

TEST_CASE("ctypes attaches a native thread that was not attached, and attached scopes nest in that") {
    const callbacks &python = python_side();
    leave_no_states([&] {
        run_on_thread([&] {
            EXPECT(!is_attached());
            for (int i = 0; i < 3; ++i)
                EXPECT(python.cfunc(i) == 3 * i);
            EXPECT(!is_attached());
        });
    });
    check_no_failure();
}

TEST_CASE("ctypes attaches a warm thread with its warm tstate") {
    const callbacks &python = python_side();
    leave_no_states([&] {
        run_on_thread([&] {
            { attached here; }
            void *warm = gilstate_tstate();
            auto made = all_counters().states_created;
            for (int i = 0; i < 3; ++i)
                EXPECT(python.cfunc(7) == 21);
            EXPECT(!is_attached());
            EXPECT(gilstate_tstate() == warm);
            if (keeps_tstates())
                EXPECT(all_counters().states_created == made);
            attached here;
            EXPECT(eval_int("1") == 1);
        });
    });
    check_no_failure();
}

TEST_CASE("ctypes callbacks of both kinds run inside attached scopes, and CFUNCTYPE ones inside detached scopes too") {
    const callbacks &python = python_side();
    leave_no_states([&] {
        run_on_thread([&] {
            attached here;
            void *state = current_tstate();
            EXPECT(python.cfunc(4) == 12);
            EXPECT(python.pyfunc(5) == 15);
            EXPECT(current_tstate() == state);
            {
                detached gap;
                EXPECT(python.cfunc(6) == 18);
                EXPECT(!is_attached());
                attached again;
                EXPECT(python.cfunc(7) == 21);
                EXPECT(python.pyfunc(8) == 24);
                EXPECT(current_tstate() == state);
            }
            EXPECT(current_tstate() == state);
            EXPECT(pyattach_attach_depth() == 1);
        });
    });
    check_no_failure();
}

TEST_CASE("Python and native code call each other through ctypes twenty deep, attaching and detaching on the way") {
    const callbacks &python = python_side();
    leave_no_states([&] {
        run_on_thread([&] {
            EXPECT(python.deep(20) == 20);
            attached here;
            EXPECT(python.deep(20) == 20);
            detached gap;
            EXPECT(python.deep(20) == 20);
        });
    });
}

TEST_CASE("an exception in a ctypes callback is reported there and is not pending in the caller") {
    const callbacks &python = python_side();
    {
        attached here;
        run("import sys\nunraised = []\nsys.unraisablehook = lambda what: unraised.append(type(what.exc_value))");
    }
    run_on_thread([&] {
        python.raises(1); // what it returns is not said
        attached here;
        EXPECT(pyattach_error_message(nullptr, 0) == 0);
        python.raises(1);
        EXPECT(pyattach_error_message(nullptr, 0) == 0);
        detached gap;
        python.raises(1);
    });
    attached here;
    CHECK(eval_true("unraised == [ValueError] * 3"));
    run("sys.unraisablehook = sys.__unraisablehook__");
}

TEST_CASE("eight native threads use ctypes callbacks and our scopes in turn") {
    const callbacks &python = python_side();
    leave_no_states([&] {
        run_on_threads(8, "a thread of ctypes callbacks to end", [&](int which) {
            for (int i = 0; i < 100; ++i) {
                if ((i + which) % 3 != 0)
                    EXPECT(python.cfunc(i) == 3 * i);
                attached here;
                EXPECT(python.pyfunc(i) == 3 * i);
                if (i % 2 == 0)
                    EXPECT(python.cfunc(i) == 3 * i);
            }
            EXPECT(!is_attached());
        });
    });
    check_no_failure();
}
