// concurrent.futures: warm native threads hand work to an executor and wait for it; its threads, which are Python's
// own, come back into native code.
#include "support/catch.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

namespace {

std::atomic<int> worked{0};

// On a thread of the executor: attached by Python, so ours nest.
void work() {
    EXPECT(is_attached());
    void *state = current_tstate();
    {
        attached nested;
        EXPECT(current_tstate() == state);
        detached gap;
        EXPECT(!is_attached());
        attached again;
        EXPECT(current_tstate() == state);
        ++worked;
    }
    EXPECT(is_attached());
    EXPECT(current_tstate() == state);
}

void start_with_executor() {
    start_python();
    attached here;
    publish("work", native_function(work));
    run("import concurrent.futures, threading, time\n"
        "executor = concurrent.futures.ThreadPoolExecutor(4)\n");
}

} // namespace

TEST_CASE("warm threads wait for results of an executor, whose threads come back into native code") {
    start_with_executor();
    worked = 0;
    leave_no_states([] {
        run_on_threads(4, "a thread that waits for results to end", [](int) {
            for (int i = 0; i < 50; ++i) {
                attached here;
                void *state = current_tstate();
                run("[one.result() for one in [executor.submit(work) for _ in range(4)]]");
                EXPECT(current_tstate() == state);
                EXPECT(is_attached());
            }
            EXPECT(!is_attached());
        });
        attached here;
        run("executor.shutdown()");
    });
    CHECK(worked == 4 * 50 * 4);
}

TEST_CASE("an exception on the executor's thread is raised on the warm one, once") {
    start_with_executor();
    run_on_thread([] {
        attached here;
        publish("fails", native_function([] {
                    attached nested;
                    throw failure("on purpose");
                }));
        run("error = executor.submit(fails).exception()\n"
            "assert isinstance(error, RuntimeError) and str(error) == 'on purpose', error\n"
            "executor.shutdown()\n");
        EXPECT(pyattach_error_message(nullptr, 0) == 0);
    });
}

TEST_CASE("a warm thread completes a future: the waiter wakes, and callbacks run on the warm thread") {
    start_with_executor();
    {
        attached here;
        run("future, heard = concurrent.futures.Future(), []\n"
            "future.add_done_callback(lambda one: heard.append((threading.get_ident(), one.result())))\n"
            "executor.submit(lambda: heard.append(future.result()))\n");
    }
    run_on_thread([] {
        attached here;
        run("me = threading.get_ident(); future.set_result('done')");
    });
    attached here;
    run("executor.shutdown()");
    CHECK(eval_true("sorted(heard, key=str) == sorted([(me, 'done'), 'done'], key=str)"));
}
