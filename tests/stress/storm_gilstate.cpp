// The storm, with what CPython alone offers on all its versions: PyGILState_*, and a look before each attach.
//
// It is also compiled as routed code, with STORM_ROUTED and the flags of pyattach-gilstate. With
// PYATTACH_STORM_CARELESS=1 no thread looks.
#include "stress/storm.hpp"

#include <cstdlib>
#include <sched.h>
#include <thread>
#include <vector>

#ifdef STORM_ROUTED
extern "C" {
int PyGILState_Ensure();
void PyGILState_Release(int);
void *PyEval_SaveThread();
void PyEval_RestoreThread(void *);
int Py_IsFinalizing();
}
#endif

namespace storm {
namespace {

plain::object *called;

#ifdef STORM_ROUTED
int ensure() { return PyGILState_Ensure(); }
void release(int handle) { PyGILState_Release(handle); }
void *save() { return PyEval_SaveThread(); }
void restore(void *state) { PyEval_RestoreThread(state); }
int is_finalizing() { return Py_IsFinalizing(); }
#else
int ensure() { return plain::python().ensure(); }
void release(int handle) { plain::python().release(handle); }
void *save() { return plain::python().save(); }
void restore(void *state) { plain::python().restore(state); }
int is_finalizing() { return plain::python().is_finalizing(); }
#endif

bool is_careless() {
    static const char *const wanted = std::getenv("PYATTACH_STORM_CARELESS");
    return wanted && *wanted == '1';
}

// How many sitters stay in a gap until Python has ended.
std::atomic<std::uint64_t> missing{0};

// Every check that CPython offers. The answer may be out of date when the attach follows.
bool seems_alive() { return is_careless() || (plain::python().is_initialized() && !is_finalizing()); }

void give_back(plain::object *reference) {
    ++counts.given_back;
    plain::python().decref(reference);
}

void call_python() { plain::python().decref(plain::python().call(called, nullptr)); }

void step_aside(void (*wait)(dice &), dice &random) {
    void *state = save();
    wait(random);
    restore(state);
}

void stay_inside(std::vector<plain::object *> &kept, dice &random) {
    kept.push_back(new_object());
    call_python();
    switch (random.below(4)) {
    case 0:
        step_aside([](dice &) { sched_yield(); }, random);
        break;
    case 1: {
        int before = ensure();
        call_python();
        release(before);
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
    save();
}

void work(dice &random) {
    std::vector<plain::object *> kept;
    while (seems_alive()) {
        int before = ensure();
        stay_inside(kept, random);
        release(before);
    }
}

void sit(dice &rng) {
    bool misses_the_end = rng.below(8) == 0;
    missing += misses_the_end;
    while (seems_alive()) {
        int before = ensure();
        step_aside(
            misses_the_end
                ? [](dice &) { wait_for_the_end(); }
                : [](dice &random) { std::this_thread::sleep_for(std::chrono::microseconds(random.below(30000))); },
            rng);
        release(before);
    }
}

void called_by_daemon() {
    plain::object *reference = new_object();
    give_back(reference);
    void *state = save();
    sched_yield();
    restore(state);
}

int end(dice &) {
    ensure();
    return plain::python().finalize();
}

int patience_ms() { return 500; }

std::string summary() { return "missing=" + std::to_string(missing) + " "; }

} // namespace storm
