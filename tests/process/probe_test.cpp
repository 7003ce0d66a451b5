// Helper threads of a stop that timed out. One that has its tstate, and is then not scheduled until a later stop, must
// not find its tstate freed.
//
// The executable interposes two functions of CPython.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/fork.hpp"
#include "process/real_dlsym.hpp"

#include <cstring>

using namespace support;

namespace {

thread_local bool is_main;
std::atomic<bool> hold_helper{false}, has_exit_begun{false}, has_attached{false};
latch may_attach("the helper to be allowed to attach");

void (*real_restore)(void *);
void *(*real_save)();

void restore(void *state) {
    const bool is_held = !is_main && hold_helper.exchange(false);
    if (is_held)
        may_attach.wait();
    real_restore(state);
    if (is_held)
        has_attached = true;
}

// The ending thread detaches once more after the exit callbacks.
void *save() {
    if (is_main && has_exit_begun.exchange(false))
        may_attach.count_down();
    return real_save();
}

bool is_initialized() { return cpython<int()>("Py_IsInitialized")() != 0; }

void start() {
    is_main = true;
    start_python();
    pyattach_set_exit_timeout(0);
}

void add_exit_callback(pyattach_exit_callback call) {
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
}

void time_out() {
    messages said;
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT(is_initialized());
}

void stop_and_start_again() {
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(!is_initialized());
    pyattach_start_options options = start_options();
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    {
        attached here;
        EXPECT(eval_int("1") == 1);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}

} // namespace

extern "C" __attribute__((visibility("default"))) void *dlsym(void *handle, const char *name) noexcept {
    void *address = real_dlsym(handle, name);
    auto interpose = [address](auto *&real, auto *ours) {
        real = reinterpret_cast<std::remove_reference_t<decltype(real)>>(address);
        return reinterpret_cast<void *>(ours);
    };
    if (address && std::strcmp(name, "PyEval_RestoreThread") == 0)
        return interpose(real_restore, restore);
    if (address && std::strcmp(name, "PyEval_SaveThread") == 0)
        return interpose(real_save, save);
    return address;
}

CHILD("stops again while a helper waits") {
    start();
    if (child_arguments().empty())
        hold_helper = true;
    else
        add_exit_callback([](pyattach_interpreter *, void *) { hold_helper = true; });
    time_out();
    time_out();
    may_attach.count_down();
    stop_and_start_again();
    EXPECT(has_attached);
}
TEST_CASE("a stop does not end Python before the helper of an earlier stop is over") {
    check_succeeds("stops again while a helper waits");
    child_options late;
    late.arguments = {"after the exit callbacks"};
    check_succeeds("stops again while a helper waits", late);
}

CHILD("ends without a limit while a helper waits") {
    start();
    hold_helper = true;
    time_out();
    add_exit_callback([](pyattach_interpreter *, void *) { has_exit_begun = true; });
    if (child_arguments().empty()) {
        pyattach_set_exit_timeout(-1);
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    EXPECT(has_attached);
    may_attach.count_down();
}
TEST_CASE("an end without a limit waits for the helper of an earlier stop") {
    check_succeeds("ends without a limit while a helper waits");
    child_options by_host;
    by_host.arguments = {"Py_FinalizeEx"};
    check_succeeds("ends without a limit while a helper waits", by_host);
}

CHILD("stops attached, after the exit functions, while a helper waits") {
    start();
    {
        foreign_attach here;
        run("import atexit; atexit._run_exitfuncs()");
    }
    hold_helper = true;
    time_out();
    has_exit_begun = true;
    cpython<int()>("PyGILState_Ensure")();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(has_attached);
}
TEST_CASE("a stop that leaves everything to Py_FinalizeEx waits for the helper of an earlier stop") {
    check_succeeds("stops attached, after the exit functions, while a helper waits");
}

CHILD("forks while a helper waits") {
    start();
    hold_helper = true;
    time_out();
    {
        attached here;
        fork_in_python([] { EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); });
    }
    may_attach.count_down();
    stop_and_start_again();
}
TEST_CASE("a stop in a fork child does not wait for a helper that is not in the child") {
    check_succeeds("forks while a helper waits");
}
