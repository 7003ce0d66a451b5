// A plugin that is loaded and unloaded while Python runs, starts and ends: once with a copy of the library inside, once
// linked with the shared one. It knows the public headers alone.
#include "pyattach/pyattach.h"

#include "soak/plugin.hpp"

namespace {

bool is_refusal(pyattach_status status) {
    return status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED || status == PYATTACH_UNSUPPORTED;
}

// Destroyed when the thread ends, which keeps this plugin loaded until then.
struct last_reference {
    ~last_reference() { pyattach_decref_in(interpreter, reference); }
    pyattach_interpreter *interpreter = nullptr;
    struct _object *reference = nullptr;
};

int come_in_and_go(unsigned choice) {
    thread_local last_reference kept;
    pyattach_attached here, nested;
    pyattach_status status = pyattach_attached_begin(&here);
    if (status != PYATTACH_OK)
        return is_refusal(status) ? 0 : __LINE__;
    int line = 0;
    struct _object *number = nullptr;
    pyattach_detached gap;
    if (!pyattach_is_attached() || pyattach_from_int64(123456789 + choice, &number) != PYATTACH_OK)
        line = __LINE__;
    else if (pyattach_attached_begin(&nested) != PYATTACH_OK)
        line = __LINE__;
    else {
        pyattach_attached_end(&nested);
        if (!kept.reference && choice % 4 == 0) {
            kept.interpreter = pyattach_interpreter_current();
            kept.reference = number;
            number = nullptr;
        }
        pyattach_interpreter *const home = pyattach_interpreter_current();
        if (choice % 2)
            pyattach_decref(number);
        else if (pyattach_detached_begin(&gap) != PYATTACH_OK)
            line = __LINE__;
        else {
            pyattach_decref_in(home, number);
            status = pyattach_detached_end(&gap);
            if (status != PYATTACH_OK && !is_refusal(status))
                line = __LINE__;
        }
    }
    pyattach_attached_end(&here);
    return line;
}

} // namespace

extern "C" PYATTACH_VISIBLE int plugin_register() {
    pyattach_set_exit_timeout(30000000000); // as in live()
    return pyattach_interpreter_current() ? 0 : __LINE__;
}

extern "C" PYATTACH_VISIBLE int plugin_use(unsigned choice) {
    switch (choice % 8) {
    case 0: // no call that registers the interpreter
        return pyattach_is_forbidden() || pyattach_version() != PYATTACH_VERSION ? __LINE__ : 0;
    case 1:
        pyattach_decref(nullptr);
        (void)pyattach_pool_size();
        return 0;
    case 2:
        (void)pyattach_is_attached();
        (void)pyattach_interpreter_main();
        return 0;
    default:
        return come_in_and_go(choice / 8);
    }
}
