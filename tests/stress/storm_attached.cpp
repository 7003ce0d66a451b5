// The storm, with this library.
#include "stress/storm.hpp"

#include <cstdlib>
#include <sched.h>
#include <thread>
#include <vector>

#include "pyattach/pyattach.h"
#include "support/sanitizers.hpp"

namespace storm {
namespace {

plain::object *called; // a Python function, kept for the life of the process
std::atomic<bool> daemon_is_busy{false};

// Counted before the call: a thread that never comes back from it has given its reference away all the same.
void give_back(plain::object *reference) {
    ++counts.given_back;
    pyattach_decref(reference);
}

bool is_refusal(pyattach_status status) { return status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED; }

void complain_of(const char *call, pyattach_status status) {
    complain(std::string(call) + ": " + pyattach_status_message(status));
}

void call_python() {
    plain::object *result = nullptr;
    pyattach_status status = pyattach_call(called, nullptr, 0, &result);
    if (status != PYATTACH_OK) {
        char text[200] = "";
        pyattach_error_message(text, sizeof text);
        pyattach_error_clear();
        complain(std::string("pyattach_call: ") + text);
        return;
    }
    plain::python().decref(result);
}

// False: the interpreter ended meanwhile.
bool step_aside(std::vector<plain::object *> &kept, void (*wait)(dice &), dice &random) {
    pyattach_detached gap;
    pyattach_status status = pyattach_detached_begin(&gap);
    if (status != PYATTACH_OK) {
        complain_of("pyattach_detached_begin", status);
        return false;
    }
    wait(random);
    if (!kept.empty()) {
        give_back(kept.back());
        kept.pop_back();
    }
    status = pyattach_detached_end(&gap);
    if (status != PYATTACH_OK && status != PYATTACH_FINALIZING)
        complain_of("pyattach_detached_end", status);
    return status == PYATTACH_OK;
}

bool stay_inside(std::vector<plain::object *> &kept, dice &random) {
    kept.push_back(new_object());
    call_python();
    switch (random.below(4)) {
    case 0:
        return step_aside(
            kept, [](dice &) { sched_yield(); }, random);
    case 1: {
        pyattach_attached nested;
        pyattach_status status = pyattach_attached_begin(&nested);
        if (status != PYATTACH_OK) {
            complain_of("a nested pyattach_attached_begin", status);
            return false;
        }
        give_back(kept.back());
        kept.pop_back();
        pyattach_attached_end(&nested);
        return true;
    }
    case 2: { // what other libraries do on this thread
        int before = plain::python().ensure();
        call_python();
        plain::python().release(before);
        return true;
    }
    default:
        return true;
    }
}

void use_python(dice &random, bool (*inside)(std::vector<plain::object *> &, dice &)) {
    std::vector<plain::object *> kept;
    for (bool is_alive = true; is_alive;) {
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_begin(&scope);
        if (status != PYATTACH_OK) {
            if (!is_refusal(status))
                complain_of("pyattach_attached_begin", status);
            break;
        }
        is_alive = inside(kept, random);
        pyattach_attached_end(&scope);
        if (pyattach_is_attached())
            complain("attached after the end of the scope that attached");
        // Some references are dropped now, on a detached thread; the others later.
        while (kept.size() > random.below(8)) {
            give_back(kept.back());
            kept.pop_back();
        }
        if (random.below(64) == 0)
            if (pyattach_status refused = pyattach_thread_release())
                complain_of("pyattach_thread_release", refused);
    }
    for (plain::object *reference : kept)
        give_back(reference);
}

// "off", or "hectic": it is at work nearly all the time.
void choose_housekeeping() {
    const char *wanted = std::getenv("PYATTACH_STORM_HOUSEKEEPING");
    const std::string mode = wanted ? wanted : "";
    if (mode == "off")
        pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
    if (mode == "hectic")
        pyattach_set_release_delay(0);
}

} // namespace

void begin(dice &random) {
    choose_housekeeping();
    bool ours = random.below(2) == 0;
    if (pyattach_python_load(plain::libpython()) != PYATTACH_OK)
        std::exit(70);
    if (ours) {
        pyattach_start_options options{};
        options.struct_size = sizeof options;
        options.program_name = plain::python_executable();
        if (pyattach_interpreter_start_with(&options) != PYATTACH_OK)
            std::exit(70);
    } else {
        plain::start();
        plain::python().save();
    }
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        std::exit(70);
    // Data of the thread's own, so that states have something to destroy.
    const char *code = "import threading, time\n"
                       "own = threading.local()\n"
                       "def called():\n"
                       "    own.calls = getattr(own, 'calls', 0) + 1\n"
                       "    if own.calls % 7 == 0:\n"
                       "        time.sleep(0)\n";
    if (pyattach_run(code, nullptr, nullptr) != PYATTACH_OK ||
        pyattach_eval("called", nullptr, nullptr, &called) != PYATTACH_OK)
        std::exit(70);
    pyattach_attached_end(&scope);
}

void work(dice &random) { use_python(random, stay_inside); }

void sit(dice &rng) {
    // One run in eight a sitter stays away until Python has ended, which costs that exit its second of patience.
    static std::atomic<bool> may_miss_the_end{true};
    bool misses_the_end = rng.below(8) == 0 && may_miss_the_end.exchange(false);
    auto inside = misses_the_end ? [](std::vector<plain::object *> &kept, dice &random) {
        return step_aside(kept, [](dice &) { wait_for_the_end(); }, random);
    } : [](std::vector<plain::object *> &kept, dice &random) {
        auto nap = [](dice &chance) { std::this_thread::sleep_for(std::chrono::microseconds(chance.below(30000))); };
        return step_aside(kept, nap, random);
    };
    use_python(rng, inside);
}

void called_by_daemon() {
    plain::object *reference = plain::python().capsule(&counts, "storm", [](plain::object *) { ++counts.died; });
    support::may_leak(reference);
    daemon_is_busy = true;
    pyattach_detached gap;
    if (pyattach_status status = pyattach_detached_begin(&gap))
        return complain_of("pyattach_detached_begin of the daemon", status);
    // Kept from here on: with Python gone, PyEval_SaveThread may wait for ever until another thread takes the GIL.
    ++counts.kept;
    give_back(reference);
    daemon_is_busy = false;
    sched_yield();
    // Python's own thread: it comes back, or it is parked here.
    if (pyattach_status status = pyattach_detached_end(&gap))
        complain_of("pyattach_detached_end of the daemon", status);
}

int end(dice &random) {
    switch (random.below(3)) {
    case 0: {
        pyattach_attached scope;
        if (pyattach_status status = pyattach_attached_begin(&scope))
            return complain_of("pyattach_attached_begin of main", status), 1;
        int outcome = plain::python().finalize();
        pyattach_attached_end(&scope);
        return outcome;
    }
    case 1:
        plain::python().ensure();
        return plain::python().finalize();
    default:
        return pyattach_interpreter_stop();
    }
}

int patience_ms() { return 60000; }

std::string summary() {
    // The daemon may be about to give its last reference back; or wait for ever, before it counted it.
    for (int tries = 0; daemon_is_busy && tries < 200; ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    pyattach_stats all{};
    all.struct_size = sizeof all;
    pyattach_stats_get(&all);
    auto item = [](const char *name, std::uint64_t value) { return name + ("=" + std::to_string(value)) + " "; };
    return item("attaches", all.attaches) + item("now", all.drops_now) + item("queued", all.drops_queued) +
           item("released", all.drops_released) + item("leaked", all.drops_leaked) +
           item("exit_timeouts", all.exit_timeouts) + item("created", all.states_created) +
           item("deleted", all.states_deleted);
}

} // namespace storm
