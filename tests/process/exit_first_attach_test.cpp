// A thread's first attach, while other threads register the interpreter and end it.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/plain_python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <dlfcn.h>

using namespace support;

namespace {

latch *reads_main, *may_go_on;
thread_local bool stops_in_main;

} // namespace

// What the library finds under this name when libpython is in the global scope: a program's own symbols come first.
extern "C" __attribute__((visibility("default"))) void *PyInterpreterState_Main() {
    static void *const real = dlsym(dlopen(libpython().c_str(), RTLD_LAZY | RTLD_NOLOAD), "PyInterpreterState_Main");
    EXPECT(real);
    void *const main = reinterpret_cast<void *(*)()>(real)();
    if (stops_in_main) {
        stops_in_main = false;
        reads_main->count_down();
        may_go_on->wait();
    }
    return main;
}

// No thread has registered the interpreter when the late one looks at it: it is not parked, and attaches neither to
// what has ended nor with a thread state in freed memory.
CHILD("Python ends between a first attach's look at it and its record") {
    cpython_symbol("Py_GetVersion"); // puts libpython into the global scope
    load_python();
    EXPECT(!pyattach_is_attached()); // finds Python
    if (python_version() >= 0x030f0000)
        return; // a guard of CPython's is held meanwhile, so that Python does not end
    plain::start();
    plain::python().save();
    latch reads("the late thread to read the main interpreter"), go_on("Python to have ended");
    reads_main = &reads;
    may_go_on = &go_on;
    pyattach_status late = PYATTACH_INVALID;
    task attaching("the late thread to end", [&] {
        stops_in_main = true;
        pyattach_attached scope;
        late = pyattach_attached_begin(&scope);
        if (late == PYATTACH_OK)
            pyattach_attached_end(&scope);
    });
    reads.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); // registers the interpreter
    const bool starts_again = child_arguments()[0] == "started again";
    if (starts_again)
        start_python();
    go_on.count_down();
    attaching.join();
    EXPECT_SENTENCE(late == (starts_again ? PYATTACH_OK : PYATTACH_NOT_INITIALIZED), pyattach_status_message(late));
    EXPECT(starts_again == (pyattach_interpreter_main() != nullptr));
}
TEST_CASE("a first attach notices that Python has ended since it looked") {
    check_succeeds("Python ends between a first attach's look at it and its record", {{"ended"}});
    check_succeeds("Python ends between a first attach's look at it and its record", {{"started again"}});
}
