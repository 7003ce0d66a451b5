// Calls into Python that never return, because Python finalizes while they run.
#include <string>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

// Each call that runs Python code. The code blocks until the test releases it.
void block_in(const std::string &call) {
    object *result = nullptr;
    if (call == "eval")
        pyattach_eval("block()", nullptr, nullptr, &result);
    else if (call == "run")
        pyattach_run("block()", nullptr, nullptr);
    else if (call == "error_message" &&
             pyattach_run("raise BlocksWhenShown", nullptr, nullptr) == PYATTACH_PYTHON_ERROR)
        pyattach_error_message(nullptr, 0);
    else if (call == "error_clear" && pyattach_run("raise BlocksWhenGone", nullptr, nullptr) == PYATTACH_PYTHON_ERROR)
        pyattach_error_clear();
}

} // namespace

// CPython lets no other thread back once it tears its modules down; up to 3.13.7 by ending the thread, through all the
// frames below.
CHILD("Python ends around a call of a native thread") {
    const std::string call = child_arguments().at(0);
    start_python();
    pyattach_set_exit_timeout(0);
    int begun[2], go_on[2];
    EXPECT(pipe(begun) == 0 && pipe(go_on) == 0);
    task caller("the thread that calls", [&] {
        attached there;
        run("import os\n"
            "def block():\n"
            "    os.write(" +
            std::to_string(begun[1]) +
            ", b'x')\n"
            "    os.read(" +
            std::to_string(go_on[0]) +
            ", 1)\n"
            "class BlocksWhenShown(Exception):\n"
            "    def __str__(self): block()\n"
            "class BlocksWhenGone(Exception):\n"
            "    def __del__(self): block()\n");
        block_in(call);
        give_up("for ever, as nothing may come back from a Python that has ended");
    });
    char byte;
    EXPECT(read(begun[0], &byte, 1) == 1);
    caller.wait_until_asleep();
    {
        attached here;
        // Called when the modules are torn down; from a module of its own, as the blocked call may keep __main__ alive.
        ref look = native_function([&] {
            EXPECT(write(go_on[1], "x", 1) == 1);
            int unread = 1;
            wait_until("the call to go on", [&] { return ioctl(go_on[0], FIONREAD, &unread) == 0 && unread == 0; });
            caller.wait_until_asleep();
            EXPECT(!caller.has_returned());
            end_child();
        });
        publish("look", look);
        publish("mortal", object_with_finalizer("self.look()"));
        run("import sys, types\n"
            "mortal.look = look\n"
            "sys.modules['torn_down'] = types.ModuleType('torn_down')\n"
            "sys.modules['torn_down'].mortal = mortal\n"
            "del mortal, look");
    }
    pyattach_interpreter_stop();
    EXPECT_SENTENCE(false, "nothing died while Python ended");
}

TEST_CASE("a thread inside a call into Python during finalization is parked") {
    for (const char *call : {"eval", "run", "error_message", "error_clear"}) {
        INFO(call);
        child_options options;
        options.arguments = {call};
        check_succeeds("Python ends around a call of a native thread", options);
    }
}
