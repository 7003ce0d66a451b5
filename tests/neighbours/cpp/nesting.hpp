// Scenarios of this library's scopes and another library's guards, nested both ways. Acquire and Release are the
// other's: they attach and detach in their constructors and undo it in their destructors. Each scenario runs attached,
// on whatever thread, leaves it as it was, and throws what is not so.
#pragma once

#include <exception>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <Python.h>
#include <unistd.h>

#include "pyattach/pyattach.hpp"

namespace neighbours {

[[noreturn]] inline void fail(int line, const char *what) {
    throw std::logic_error("line " + std::to_string(line) + ": not so: " + what);
}
#define NEIGHBOUR_EXPECT(condition) ((condition) ? void() : ::neighbours::fail(__LINE__, #condition))

// CPython's own answer where it has one: up to 3.11 the current tstate is that of the thread that holds the GIL.
inline bool is_attached() {
#if PY_VERSION_HEX >= 0x030d0000
    bool truth = PyThreadState_GetUnchecked() != nullptr;
#else
    PyThreadState *current = _PyThreadState_UncheckedGet();
    bool truth = current && current == PyGILState_GetThisThreadState();
#endif
    NEIGHBOUR_EXPECT(pyattach_is_attached() == truth);
    return truth;
}

inline void use_python() {
    NEIGHBOUR_EXPECT(is_attached());
    PyObject *list = PyList_New(10);
    NEIGHBOUR_EXPECT(list);
    NEIGHBOUR_EXPECT(PyList_Size(list) == 10);
    Py_DECREF(list);
}

template <class Acquire, class Release> struct nesting {
    static void theirs_in_ours() {
        pyattach::attached here;
        PyThreadState *state = PyThreadState_Get();
        {
            Acquire inner;
            use_python();
            NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
            pyattach::attached again;
            use_python();
        }
        NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
        use_python();
    }

    static void ours_in_theirs() {
        Acquire outer;
        PyThreadState *state = PyThreadState_Get();
        {
            pyattach::attached here;
            NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
            use_python();
            Acquire again;
            use_python();
        }
        NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
        use_python();
    }

    static void theirs_in_our_gap() {
        pyattach::attached here;
        PyThreadState *state = PyThreadState_Get();
        {
            pyattach::detached gap{here.token()};
            NEIGHBOUR_EXPECT(!is_attached());
            {
                Acquire inner;
                use_python();
                NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
                Release out;
                NEIGHBOUR_EXPECT(!is_attached());
            }
            NEIGHBOUR_EXPECT(!is_attached());
            NEIGHBOUR_EXPECT(gap.resume() == PYATTACH_OK);
        }
        NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
        use_python();
    }

    static void ours_in_their_gap() {
        PyThreadState *state = PyThreadState_Get();
        {
            Release gap;
            NEIGHBOUR_EXPECT(!is_attached());
            {
                pyattach::attached here;
                use_python();
                NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
                pyattach::detached inner{here.token()};
                NEIGHBOUR_EXPECT(!is_attached());
            }
            NEIGHBOUR_EXPECT(!is_attached());
        }
        NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
        use_python();
    }

    static void gaps_in_gaps() {
        pyattach::attached here;
        pyattach::detached first{here.token()};
        Acquire second;
        {
            Release three;
            pyattach::attached four;
            {
                pyattach::detached five{four.token()};
                Acquire six;
                use_python();
                Release seven;
                NEIGHBOUR_EXPECT(!is_attached());
                pyattach::attached eight;
                use_python();
            }
            use_python();
        }
        use_python();
    }

    // What each keeps between uses: the other's cached state, our warm one.
    static void in_turn() {
        Release out;
        for (int i = 0; i < 4; ++i) {
            NEIGHBOUR_EXPECT(!is_attached());
            {
                Acquire theirs;
                use_python();
            }
            NEIGHBOUR_EXPECT(!is_attached());
            pyattach::attached ours;
            use_python();
        }
    }

    static void references_are_dropped_in_their_gap() {
        pyattach::attached here;
        auto list = pyattach::owned::steal(here.token(), PyList_New(0));
        Py_ssize_t before = Py_REFCNT(list.get());
        {
            auto copy = list.copy(here.token());
            Release gap;
            copy.reset(); // waits in the pool
        }
        pyattach::attached again;
        NEIGHBOUR_EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        NEIGHBOUR_EXPECT(Py_REFCNT(list.get()) == before);
    }

    static const std::map<std::string, void (*)()> &all() {
        static const std::map<std::string, void (*)()> known = {
            {"theirs_in_ours", theirs_in_ours},
            {"ours_in_theirs", ours_in_theirs},
            {"theirs_in_our_gap", theirs_in_our_gap},
            {"ours_in_their_gap", ours_in_their_gap},
            {"gaps_in_gaps", gaps_in_gaps},
            {"in_turn", in_turn},
            {"references_are_dropped_in_their_gap", references_are_dropped_in_their_gap},
        };
        return known;
    }

    static std::string names() {
        std::string text;
        for (const auto &each : all())
            text += each.first + " ";
        return text;
    }

    // On this thread, which is attached.
    static void run(const std::string &name) { all().at(name)(); }

    // On a native thread of its own, which one of the two attached, `first`. The caller waits detached.
    static void run_on_thread(const std::string &name, const std::string &first, int rounds) {
        std::exception_ptr thrown;
        auto body = [&] {
            try {
                for (int i = 0; i < rounds; ++i) {
                    NEIGHBOUR_EXPECT(!is_attached());
                    if (first == "ours") {
                        pyattach::attached here;
                        run(name);
                    } else {
                        Acquire here;
                        run(name);
                    }
                }
                NEIGHBOUR_EXPECT(!is_attached());
            } catch (...) {
                thrown = std::current_exception();
            }
        };
        Release gap;
        std::thread thread(body);
        thread.join();
        if (thrown)
            std::rethrow_exception(thrown);
    }

    // Stays until the process ends, warm, with whatever the other keeps for it too.
    static void leave_thread_behind() {
        auto warm = std::make_shared<std::promise<void>>();
        Release gap;
        std::thread([warm] {
            for (int i = 0; i < 3; ++i) {
                { pyattach::attached here; }
                { Acquire here; }
            }
            warm->set_value();
            for (;;)
                pause();
        }).detach();
        warm->get_future().wait();
    }
};

} // namespace neighbours
