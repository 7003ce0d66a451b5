// The storm, with what CPython alone offers on all its versions: PyGILState_*, and a look before each attach.
#include "stress/storm.hpp"

#include <sched.h>
#include <thread>
#include <vector>

namespace storm {
namespace {

stress::object *called;

// The most that can be asked. Whatever the answer, it may be out of date when the attach follows.
bool seems_alive() { return stress::python().is_initialized() && !stress::python().is_finalizing(); }

void give_back(stress::object *one) {
    ++counts.given_back;
    stress::python().decref(one);
}

void call_python() { stress::python().decref(stress::python().call(called, nullptr)); }

void step_aside(void (*wait)(dice &), dice &mine) {
    void *state = stress::python().save();
    wait(mine);
    stress::python().restore(state);
}

void stay_inside(std::vector<stress::object *> &kept, dice &mine) {
    kept.push_back(new_object());
    call_python();
    switch (mine.below(4)) {
    case 0:
        step_aside([](dice &) { sched_yield(); }, mine);
        break;
    case 1: {
        int before = stress::python().ensure();
        call_python();
        stress::python().release(before);
        break;
    }
    default:
        break;
    }
    // A reference may be given back while attached only.
    while (kept.size() > mine.below(8)) {
        give_back(kept.back());
        kept.pop_back();
    }
}

} // namespace

void begin(dice &) {
    stress::start_plainly();
    int failed = stress::python().run("import threading, time\n"
                                      "own = threading.local()\n"
                                      "def called():\n"
                                      "    own.calls = getattr(own, 'calls', 0) + 1\n"
                                      "    if own.calls % 7 == 0:\n"
                                      "        time.sleep(0)\n",
                                      nullptr);
    if (failed)
        std::exit(70);
    called = stress::python().get(stress::python().add_module("__main__"), "called");
    stress::python().save();
}

void work(dice &mine) {
    std::vector<stress::object *> kept;
    while (seems_alive()) {
        int before = stress::python().ensure();
        stay_inside(kept, mine);
        stress::python().release(before);
    }
}

void sit(dice &mine) {
    bool misses_the_end = mine.below(8) == 0;
    while (seems_alive()) {
        int before = stress::python().ensure();
        step_aside(
            misses_the_end
                ? [](dice &) { wait_for_the_end(); }
                : [](dice &one) { std::this_thread::sleep_for(std::chrono::microseconds(one.below(30000))); },
            mine);
        stress::python().release(before);
    }
}

void called_by_daemon() {
    stress::object *one = new_object();
    give_back(one);
    void *state = stress::python().save();
    sched_yield();
    stress::python().restore(state);
}

int end(dice &) {
    stress::python().ensure();
    return stress::python().finalize();
}

int patience_ms() { return 500; }

std::string summary() { return ""; }

} // namespace storm
