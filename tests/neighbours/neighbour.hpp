// What the tests beside other people's code share.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/expect.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/tstate_counts.hpp"

namespace neighbours {

// Starts Python; ends the process as a skipped test, by name, if the Python under test cannot import the module.
inline void start_python_with(const char *module) {
    support::start_python();
    support::attached here;
    support::object *found = nullptr;
    if (pyattach_import(module, &found) == PYATTACH_OK) {
        pyattach_decref(found);
        return;
    }
    char why[200] = "";
    pyattach_error_message(why, sizeof why);
    // To a Python from elsewhere the distribution's packages are of no use.
    const bool is_of_debian = support::python_executable().find("/usr/bin/") == 0;
    std::printf("%s: SKIPPED:\n%s", module, why);
    std::printf(is_of_debian ? " (on Debian: apt install python3-%s)\n" : "\n", module);
    std::fflush(nullptr);
    std::_Exit(77); // Meson's status for it
}

// What the library says is what CPython says.
inline bool is_attached() {
    bool truth = support::cpython_says_attached();
    EXPECT(pyattach_is_attached() == truth);
    return truth;
}

// All tstates of the main interpreter. Attached; no other thread may attach or detach meanwhile.
inline int states_in_python() {
    using support::cpython;
    int count = 0;
    void *interpreter = cpython<void *()>("PyInterpreterState_Main")();
    for (void *state = cpython<void *(void *)>("PyInterpreterState_ThreadHead")(interpreter); state; ++count)
        state = cpython<void *(void *)>("PyThreadState_Next")(state);
    return count;
}

// Runs `body`; when the threads that it started have ended, Python must have as many thread states as before, beside
// those that the library knows to be dead and deletes later.
inline void leave_no_states(const std::function<void()> &body) {
    auto alive = [] {
        support::attached here;
        return states_in_python() - static_cast<int>(support::all_counters().states_dead);
    };
    int before = alive();
    body();
    // Python's own threads may be joined some instructions before their states are deleted.
    support::wait_until("the states of ended threads to be deleted", [&] { return alive() <= before; });
    EXPECT(alive() == before);
}

} // namespace neighbours
