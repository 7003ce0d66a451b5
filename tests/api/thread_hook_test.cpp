// The thread hook, which is told of native threads that begin to use Python, and of their end; and their names in
// Python.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"
#include "support/unraisable.hpp"

#include <mutex>
#include <vector>

using namespace support;

namespace {

// Collects the events of its lifetime.
class hook {
  public:
    explicit hook(std::function<void(pyattach_thread_event)> also = nullptr) : also_(std::move(also)) {
        pyattach_set_thread_hook(call, this);
    }
    hook(const hook &) = delete;
    hook &operator=(const hook &) = delete;
    ~hook() { pyattach_set_thread_hook(nullptr, nullptr); }

    int attached() const { return count(PYATTACH_THREAD_ATTACHED); }
    int ended() const { return count(PYATTACH_THREAD_ENDED); }
    pyattach_interpreter *last_interpreter() const { return last_interpreter_; }

  private:
    static void call(pyattach_thread_event event, pyattach_interpreter *interp, void *self) {
        static_cast<hook *>(self)->note(event, interp);
    }
    void note(pyattach_thread_event event, pyattach_interpreter *interp) {
        EXPECT((pyattach_is_attached() != 0) == (event == PYATTACH_THREAD_ATTACHED));
        EXPECT((interp != nullptr) == (event == PYATTACH_THREAD_ATTACHED));
        {
            std::lock_guard<std::mutex> held(lock_);
            events_.push_back(event);
            if (interp)
                last_interpreter_ = interp;
        }
        if (also_)
            also_(event);
    }
    int count(pyattach_thread_event wanted) const {
        std::lock_guard<std::mutex> held(lock_);
        int found = 0;
        for (pyattach_thread_event event : events_)
            found += event == wanted;
        return found;
    }

    std::function<void(pyattach_thread_event)> also_;
    mutable std::mutex lock_;
    std::vector<pyattach_thread_event> events_;
    pyattach_interpreter *last_interpreter_ = nullptr;
};

} // namespace

TEST_CASE("a native thread causes one event at its first attach and one at its end") {
    start_python();
    hook hook;
    run_on_thread([&] {
        CHECK(hook.attached() == 0);
        for (int i = 0; i < 3; ++i) {
            attached here;
            CHECK(hook.attached() == (keeps_tstates() ? 1 : i + 1));
            attached nested;
            detached gap;
        }
        CHECK(hook.last_interpreter() == pyattach_interpreter_main());
        CHECK(hook.ended() == 0);
    });
    CHECK(hook.ended() == 1);
    const int all = hook.attached();
    attached on_main_thread; // whose tstate Python made
    CHECK(hook.attached() == all);
}

TEST_CASE("the attached event comes before Python code that the thread runs, and may run Python code") {
    start_python();
    {
        attached here;
        run("import sys\ntraced = []\ndef trace(frame, event, argument): traced.append(frame.f_code.co_name)\n"
            "def work(): pass");
    }
    hook hook([](pyattach_thread_event event) {
        if (event != PYATTACH_THREAD_ATTACHED)
            return;
        attached nested;
        run("sys.settrace(trace)");
        detached gap;
    });
    run_on_thread([] {
        attached here;
        run("work()");
    });
    attached here;
    CHECK(eval_true("traced.count('work') == 1"));
    run("del traced, trace, work");
}

TEST_CASE("threads that Python or other code attached cause no events, nor do threads from before the hook") {
    start_python();
    latch has_attached("the earlier thread to attach"), may_end("the earlier thread may end");
    task earlier("the earlier thread", [&] {
        { attached here; }
        has_attached.count_down();
        may_end.wait();
        attached again;
    });
    has_attached.wait();
    {
        hook hook;
        run_on_thread([] {
            foreign_attach other;
            attached nested;
            foreign_detach gap;
            attached with_its_tstate;
        });
        may_end.count_down();
        earlier.join();
        CHECK(hook.attached() == (keeps_tstates() ? 0 : 1));
        {
            attached here;
            publish("nest", native_function([] { attached nested; }));
            run("import threading\nthread = threading.Thread(target=nest)\nthread.start()\nthread.join()\n"
                "del nest, thread");
        }
        CHECK(hook.attached() == (keeps_tstates() ? 0 : 1));
    }
}

TEST_CASE("a thread that gets a new tstate causes an event for it, and one at its end") {
    start_python();
    hook hook;
    run_on_thread([&] {
        { attached here; }
        EXPECT(pyattach_thread_release() == PYATTACH_OK);
        { attached here; }
        CHECK(hook.attached() == 2);
    });
    CHECK(hook.ended() == 1);
    policy scoped(PYATTACH_THREADS_SCOPED);
    run_on_thread([] {
        for (int i = 0; i < 3; ++i)
            attached here;
    });
    CHECK(hook.attached() == 5);
    CHECK(hook.ended() == 2);
}

TEST_CASE("a thread causes an event in each interpreter") {
    start_python();
    attached here;
    sub_interpreter sub;
    pyattach_interpreter *handle = sub.handle();
    {
        detached gap;
        hook hook;
        run_on_thread([&] {
            attached in_main;
            CHECK(hook.attached() == 1);
            attached there(handle);
            CHECK(hook.attached() == 2);
            CHECK(hook.last_interpreter() == handle);
        });
        CHECK(hook.ended() == 1);
    }
    sub.end();
}

TEST_CASE("the hook is not called in a no_drain attach, but in the next other one") {
    start_python();
    hook hook;
    run_on_thread([&] {
        for (int i = 0; i < 2; ++i) {
            attached_no_drain here;
            attached nested;
            detached gap;
            attached inner;
        }
        CHECK(hook.attached() == 0);
        attached here;
        CHECK(hook.attached() == 1);
    });
    CHECK(hook.ended() == 1);
    run_on_thread([&] { attached_no_drain here; });
    CHECK(hook.attached() == 1);
    CHECK(hook.ended() == 1); // it caused no event
}

TEST_CASE("an exception that the hook leaves is reported, and no exception is pending afterwards") {
    start_python();
    {
        attached here;
        watch_unraisable();
    }
    {
        hook hook([](pyattach_thread_event event) {
            if (event == PYATTACH_THREAD_ATTACHED)
                EXPECT(!cpython<object *(const char *)>("PyImport_ImportModule")("no_such_module"));
        });
        run_on_thread([] {
            attached here;
            CHECK(cpython<void *()>("PyErr_Occurred")() == nullptr);
        });
    }
    attached here;
    CHECK(unraisable().find("no_such_module") != std::string::npos);
}

TEST_CASE("a thread may give references back, query and even attach when it is told of its end") {
    start_python();
    ref object;
    {
        attached here;
        object = new_object();
    }
    int answers = 0;
    hook hook([&](pyattach_thread_event event) {
        if (event != PYATTACH_THREAD_ENDED)
            return;
        answers += pyattach_is_attached() == 0;
        object.drop();
        attached late;
        answers += eval_int("6 * 7") == 42;
    });
    run_on_thread([] { attached here; });
    CHECK(answers == 2);
    CHECK(hook.ended() == 1);
}
