// An asyncio loop that runs on a native thread in an attached scope; other, warm native threads give it work.
#include "support/catch.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

namespace {

// Runs `loop` on a native thread until it is stopped, inside an attached scope.
class loop_thread {
  public:
    loop_thread() : running_("the loop to run") {
        start_python_with("asyncio");
        {
            attached here;
            publish("running", native_function([this] { running_.count_down(); }));
            run("import asyncio, threading\n"
                "loop = asyncio.new_event_loop()\n"
                "loop.call_soon(running)\n");
        }
        thread_ = std::make_unique<task>("the thread of the loop to end", [] {
            attached here;
            void *state = current_tstate();
            run("loop_thread = threading.get_ident()\n"
                "asyncio.set_event_loop(loop)\n"
                "loop.run_forever()\n"
                "loop.close()\n"
                "asyncio.set_event_loop(None)\n");
            EXPECT(current_tstate() == state);
        });
        running_.wait();
    }
    void stop() {
        {
            attached here;
            run("loop.call_soon_threadsafe(loop.stop)");
        }
        thread_->join();
    }

  private:
    latch running_;
    std::unique_ptr<task> thread_;
};

} // namespace

TEST_CASE("warm threads call call_soon_threadsafe on a loop of a native thread, which runs their calls in order") {
    start_python();
    leave_no_states([] {
        loop_thread native;
        {
            attached here;
            run("heard = {i: [] for i in range(4)}");
        }
        run_on_threads(4, "a thread that calls into the loop to end", [](int which) {
            std::string own_text = std::to_string(which);
            for (int i = 0; i < 100; ++i) {
                attached here;
                run("loop.call_soon_threadsafe(heard[" + own_text + "].append, (" + std::to_string(i) +
                    ", threading.get_ident()))\n");
            }
        });
        native.stop();
        attached here;
        CHECK(eval_true("all([n for n, _ in heard[i]] == list(range(100)) for i in range(4))"));
    });
}

TEST_CASE("warm threads wait for coroutines that detach and attach in native code between their awaits") {
    start_python();
    std::atomic<int> calls{0};
    leave_no_states([&] {
        loop_thread native;
        {
            attached here;
            publish("step", native_function([&] {
                        EXPECT(is_attached());
                        attached nested;
                        detached gap;
                        attached again;
                        EXPECT(eval_true("threading.get_ident() == loop_thread"));
                        ++calls;
                    }));
            run("import contextvars\n"
                "variable = contextvars.ContextVar('variable')\n"
                "async def walk(n):\n"
                "    variable.set(n)\n"
                "    for _ in range(5):\n"
                "        step()\n"
                "        await asyncio.sleep(0)\n"
                "        assert variable.get() == n\n"
                "    return 2 * n\n");
        }
        run_on_threads(4, "a thread that waits for coroutines to end", [](int which) {
            for (int i = 0; i < 20; ++i) {
                int number = 100 * which + i;
                attached here;
                EXPECT(eval_int("asyncio.run_coroutine_threadsafe(walk(" + std::to_string(number) +
                                "), loop).result()") == 2 * number);
                EXPECT(is_attached());
            }
        });
        native.stop();
    });
    CHECK(calls == 4 * 20 * 5);
}

TEST_CASE("a loop hands native work to threads of Python's own and awaits it") {
    start_python();
    std::atomic<int> calls{0};
    leave_no_states([&] {
        loop_thread native;
        {
            attached here;
            publish("work", native_function([&] {
                        detached gap;
                        EXPECT(!is_attached());
                        attached again;
                        ++calls;
                    }));
            run("async def delegate():\n"
                "    await asyncio.gather(*(loop.run_in_executor(None, work) for _ in range(8)))\n"
                "    await loop.shutdown_default_executor()\n");
        }
        run_on_thread([] {
            attached here;
            run("asyncio.run_coroutine_threadsafe(delegate(), loop).result()");
        });
        native.stop();
    });
    CHECK(calls == 8);
}
