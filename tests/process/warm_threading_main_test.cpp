// `threading` takes its first importer for the main thread up to 3.12, and waits at exit for that one's thread state. A
// warm state lives as long as its thread, so the library must see to it that no native thread becomes that importer.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/host.hpp"

using namespace support;

namespace {

void import_threading() {
    attached here;
    run("import threading\n"
        "threading.current_thread()\n"
        "lock = threading.RLock()\n"
        "with lock: pass\n");
}

// A Python thread that is not a daemon: exit waits until it has printed.
void start_python_thread() {
    attached here;
    run("import threading\n"
        "ends = threading.Event()\n"
        "threading._register_atexit(ends.set)\n" // called before exit waits for threads
        "def wait_for_end():\n"
        "    ends.wait()\n"
        "    for i in range(100000): pass\n"
        "    print('waited for', flush=True)\n"
        "threading.Thread(target=wait_for_end, daemon=False).start()\n");
}

} // namespace

CHILD("threading first imported on a native thread") {
    bool main_first = child_arguments()[0] == "main first", still_there = child_arguments()[1] == "still there";
    bool with_python_thread = child_arguments()[2] == "with a Python thread";
    start_as_host();
    cpython<void *()>("PyEval_SaveThread")();
    if (main_first)
        attached here;
    static latch used("the native thread to use Python"), never("never");
    auto thread = std::make_unique<task>("the native thread to end", [=] {
        import_threading();
        if (with_python_thread)
            start_python_thread();
        used.count_down();
        if (still_there)
            for (;;)
                never.wait();
    });
    used.wait();
    if (still_there)
        thread.release()->abandon();
    else
        thread->join();
    cpython<int()>("PyGILState_Ensure")();
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    end_child();
}
TEST_CASE("exit neither hangs nor complains when a native thread with a warm tstate first imports threading") {
    for (const char *contact : {"main first", "native first"})
        for (const char *thread : {"still there", "gone"})
            for (const char *more : {"with a Python thread", "without"}) {
                INFO(contact << ", " << thread << ", " << more);
                child_result result =
                    run_child("threading first imported on a native thread", {{contact, thread, more}});
                check_succeeds(result);
                CHECK(result.output == (more == std::string("without") ? "" : "waited for\n"));
            }
}

CHILD("the main thread of threading") {
    start_python();
    run_on_thread(import_threading);
    attached here;
    EXPECT(eval_true("threading.current_thread() is threading.main_thread()"));
    EXPECT(eval_true("threading.main_thread().ident == threading.get_ident()"));
}
TEST_CASE("after a start by the library the main thread of threading is the thread that started Python") {
    check_succeeds("the main thread of threading");
}
