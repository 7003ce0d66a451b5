// The names of native threads in Python, with pyattach_set_thread_names.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/unraisable.hpp"

#include <pthread.h>

using namespace support;

namespace {

class thread_names {
  public:
    thread_names() { pyattach_set_thread_names(1); }
    thread_names(const thread_names &) = delete;
    thread_names &operator=(const thread_names &) = delete;
    ~thread_names() { pyattach_set_thread_names(0); }
};

std::string name_in_python() { return eval_text("__import__('threading').current_thread().name"); }

} // namespace

TEST_CASE("with names wanted, a native thread has its own name in Python at its first attach") {
    start_python();
    thread_names names;
    static int events;
    events = 0;
    // The name is there when the hook is called.
    pyattach_set_thread_hook(
        [](pyattach_thread_event event, pyattach_interpreter *, void *) {
            events += event == PYATTACH_THREAD_ATTACHED && name_in_python() == "decoder";
        },
        nullptr);
    run_on_thread([&] {
        pthread_setname_np(pthread_self(), "decoder");
        attached here;
        CHECK(name_in_python() == "decoder");
    });
    CHECK(events == 1);
    pyattach_set_thread_hook(nullptr, nullptr);
    pyattach_set_thread_names(0);
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "encoder");
        attached here;
        CHECK(name_in_python() != "encoder");
    });
}

TEST_CASE("a name that is not UTF-8 is decoded with replacements") {
    start_python();
    thread_names names;
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "caf\xc3");
        attached here;
        CHECK(name_in_python() == "caf\xef\xbf\xbd");
    });
}

TEST_CASE("an error in naming a thread is reported as unraisable, and the attach succeeds") {
    start_python();
    {
        attached here;
        watch_unraisable();
        run("import threading\nkept = threading.current_thread\ndef threading_fails(): raise OSError('no name')\n"
            "threading.current_thread = threading_fails");
    }
    {
        thread_names names;
        run_on_thread([] {
            attached here;
            CHECK(cpython<void *()>("PyErr_Occurred")() == nullptr);
            CHECK(eval_int("6 * 7") == 42);
        });
    }
    attached here;
    run("threading.current_thread = kept\ndel kept, threading_fails");
    CHECK(unraisable().find("no name") != std::string::npos);
}

TEST_CASE("the name waits for the first attach that may run any code, and threading need not be there") {
    start_python();
    thread_names names;
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "waiting");
        {
            attached_no_drain here;
            CHECK(eval_true("all(one.name != 'waiting' for one in __import__('threading').enumerate())"));
        }
        attached here;
        CHECK(name_in_python() == "waiting");
    });
    {
        attached here;
        run("import sys, threading\nkept = sys.modules.pop('threading')");
    }
    run_on_thread([] {
        attached here;
        CHECK(eval_true("'threading' not in sys.modules"));
    });
    attached here;
    run("sys.modules['threading'] = kept\ndel kept");
}
