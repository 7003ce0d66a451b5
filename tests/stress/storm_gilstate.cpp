// The storm, with what CPython alone offers on all its versions: PyGILState_*, and a look before each attach.
#include "stress/storm.hpp"

#include <sched.h>
#include <thread>
#include <vector>

namespace storm {
namespace {

plain::object *called;

// Every check that CPython offers. The answer may be out of date when the attach follows.
bool seems_alive() { return plain::python().is_initialized() && !plain::python().is_finalizing(); }

void give_back(plain::object *reference) {
    ++counts.given_back;
    plain::python().decref(reference);
}

void call_python() { plain::python().decref(plain::python().call(called, nullptr)); }

void step_aside(void (*wait)(dice &), dice &random) {
    void *state = plain::python().save();
    wait(random);
    plain::python().restore(state);
}

void stay_inside(std::vector<plain::object *> &kept, dice &random) {
    kept.push_back(new_object());
    call_python();
    switch (random.below(4)) {
    case 0:
        step_aside([](dice &) { sched_yield(); }, random);
        break;
    case 1: {
        int before = plain::python().ensure();
        call_python();
        plain::python().release(before);
        break;
    }
    default:
        break;
    }
    // A reference may be given back while attached only.
    while (kept.size() > random.below(8)) {
        give_back(kept.back());
        kept.pop_back();
    }
}

} // namespace

void begin(dice &) {
    plain::start();
    int failed = plain::python().run("import threading, time\n"
                                     "own = threading.local()\n"
                                     "def called():\n"
                                     "    own.calls = getattr(own, 'calls', 0) + 1\n"
                                     "    if own.calls % 7 == 0:\n"
                                     "        time.sleep(0)\n",
                                     nullptr);
    if (failed)
        std::exit(70);
    called = plain::python().get(plain::python().add_module("__main__"), "called");
    plain::python().save();
}

void work(dice &random) {
    std::vector<plain::object *> kept;
    while (seems_alive()) {
        int before = plain::python().ensure();
        stay_inside(kept, random);
        plain::python().release(before);
    }
}

void sit(dice &rng) {
    bool misses_the_end = rng.below(8) == 0;
    while (seems_alive()) {
        int before = plain::python().ensure();
        step_aside(
            misses_the_end
                ? [](dice &) { wait_for_the_end(); }
                : [](dice &random) { std::this_thread::sleep_for(std::chrono::microseconds(random.below(30000))); },
            rng);
        plain::python().release(before);
    }
}

void called_by_daemon() {
    plain::object *reference = new_object();
    give_back(reference);
    void *state = plain::python().save();
    sched_yield();
    plain::python().restore(state);
}

int end(dice &) {
    plain::python().ensure();
    return plain::python().finalize();
}

int patience_ms() { return 500; }

std::string summary() { return ""; }

} // namespace storm
