// Threads that attach during a slow registration wait until the exit hook is added, with a limit.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/host.hpp"

#include <chrono>
#include <unistd.h>

using namespace support;

namespace {

// A signal through a pipe. Python code waits for it detached, in os.read().
struct word {
    int ends[2];
    word() { EXPECT(pipe(ends) == 0); }
    void say() const { EXPECT(write(ends[1], "x", 1) == 1); }
    void hear() const {
        char heard;
        EXPECT(read(ends[0], &heard, 1) == 1);
    }
    std::string said() const { return "os.write(" + std::to_string(ends[1]) + ", b'x')"; }
    std::string heard() const { return "os.read(" + std::to_string(ends[0]) + ", 1)"; }
};

// Makes the registration signal `began` in atexit.register(), and wait there for `goes_on`.
void hold_registration(const word &began, const word &goes_on) {
    run_as_host("import atexit, os, sys, types\n"
                "real = atexit\n"
                "def register(*args):\n"
                "    " +
                began.said() +
                "\n"
                "    " +
                goes_on.heard() +
                "\n"
                "    return real.register(*args)\n"
                "sys.modules['atexit'] = types.ModuleType('atexit')\n"
                "sys.modules['atexit'].register = register\n");
}

std::uint64_t leaked() {
    pyattach_stats stats = {};
    stats.struct_size = sizeof stats;
    pyattach_stats_get(&stats);
    return stats.drops_leaked;
}

void attach_and_drop() {
    attached here;
    ref object = new_object();
    detached gap;
    object.drop();
}

} // namespace

CHILD("threads attach while another one registers") {
    start_as_host();
    word began, goes_on;
    hold_registration(began, goes_on);
    foreign_detach gap;
    task first("the first thread to register", attach_and_drop);
    began.hear();
    static std::atomic<bool> is_told{false};
    auto attach = [] {
        const auto begin = std::chrono::steady_clock::now();
        attached here;
        // Or the wait has timed out, as under a debugger.
        EXPECT(is_told || std::chrono::steady_clock::now() - begin >= std::chrono::seconds(1));
        ref object = new_object();
        detached below;
        object.drop();
    };
    task second("the second thread to attach", attach), third("the third thread to attach", attach);
    second.wait_until_asleep();
    third.wait_until_asleep();
    is_told = true;
    goes_on.say();
    first.join();
    second.join();
    third.join();
    EXPECT(leaked() == 0);
    attached here;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(pyattach_pool_size() == 0);
}
TEST_CASE("threads that attach during a registration wait for it, and leak nothing") {
    check_succeeds("threads attach while another one registers");
}

CHILD("a registration waits for a thread that waits for it") {
    start_as_host();
    word began, goes_on;
    hold_registration(began, goes_on);
    foreign_detach gap;
    task first("the first thread to register", attach_and_drop);
    began.hear();
    run_on_thread([&] {
        attached here;
        ref object = new_object();
        detached below;
        object.drop(); // the hook is not there, but the interpreter will be heard of when it ends
        goes_on.say();
    });
    first.join();
    EXPECT(leaked() == 0);
}
TEST_CASE("a thread that a registration waits for stops waiting, and its decrefs are queued") {
    check_succeeds("a registration waits for a thread that waits for it");
}

CHILD("code that a registration runs attaches") {
    start_as_host();
    word runs;
    static word wakes;
    static std::atomic<bool> is_done{false};
    publish("attach", native_function([] {
                // The other thread runs only where this one releases the GIL.
                wakes.say();
                attached nested;
                EXPECT(eval_true("ran == []") || is_free_threaded());
                is_done = true;
            }));
    run_as_host("import sys, os, _thread\n"
                "ran = []\n"
                "def other():\n"
                "    " +
                runs.said() +
                "\n"
                "    " +
                wakes.heard() +
                "\n"
                "    ran.append(1)\n"
                "_thread.start_new_thread(other, ())\n"
                "class finder:\n"
                "    @staticmethod\n"
                "    def find_spec(name, path=None, target=None):\n"
                "        if name == 'threading': attach()\n"
                "sys.modules.pop('threading', None)\n"
                "sys.meta_path.insert(0, finder)\n"
                "sys.setswitchinterval(1000)\n");
    foreign_detach gap;
    runs.hear();
    run_on_thread([] { attached here; });
    EXPECT(is_done);
}
TEST_CASE("a registration does not wait for itself if code that it runs attaches") {
    check_succeeds("code that a registration runs attaches");
}
