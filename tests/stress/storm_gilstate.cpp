// The storm, with what CPython alone offers on all its versions: PyGILState_*, and a look before each attach. Or with
// the guards of another library that is made of these (storm_guards.hpp).
//
// It is also compiled as routed code, with STORM_ROUTED and the flags of pyattach-gilstate. With
// PYATTACH_STORM_CARELESS=1 no thread looks.
#include "stress/storm.hpp"
#include "stress/storm_guards.hpp"

#include <cstdlib>
#include <sched.h>
#include <thread>
#include <vector>

namespace storm {
namespace {

plain::object *called;

bool is_careless() {
    static const char *const wanted = std::getenv("PYATTACH_STORM_CARELESS");
    return wanted && *wanted == '1';
}

// How many sitters stay in a gap until Python has ended.
std::atomic<std::uint64_t> missing{0};

// Every check that CPython offers. The answer may be out of date when the attach follows.
bool seems_alive() { return is_careless() || (plain::python().is_initialized() && !guards::is_finalizing()); }

void give_back(plain::object *reference) {
    ++counts.given_back;
    plain::python().decref(reference);
}

void call_python() { plain::python().decref(plain::python().call(called, nullptr)); }

void stay_inside(std::vector<plain::object *> &kept, dice &random) {
    kept.push_back(new_object());
    call_python();
    switch (random.below(4)) {
    case 0:
        guards::detached(sched_yield);
        break;
    case 1:
        guards::attached(call_python);
        break;
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
    guards::prepare();
    plain::start();
    guards::import();
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
    guards::save();
}

void work(dice &random) {
    std::vector<plain::object *> kept;
    while (seems_alive())
        guards::attached([&] { stay_inside(kept, random); });
}

void sit(dice &rng) {
    bool misses_the_end = rng.below(8) == 0;
    missing += misses_the_end;
    while (seems_alive()) {
        guards::attached([&] {
            guards::detached([&] {
                if (misses_the_end)
                    wait_for_the_end();
                else
                    std::this_thread::sleep_for(std::chrono::microseconds(rng.below(30000)));
            });
        });
    }
}

void called_by_daemon() {
    plain::object *reference = new_object();
    give_back(reference);
    guards::detached(sched_yield);
}

int end(dice &) {
    guards::ensure();
    return plain::python().finalize();
}

int patience_ms() { return 500; }

std::string summary() { return "missing=" + std::to_string(missing) + " "; }

} // namespace storm
