// Threads that attach while Python starts, and code that Python runs then.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <dlfcn.h>

using namespace support;

// --- Before Python says that it is initialized ---

namespace {

struct start_outcome { // PyStatus
    int kind;
    const char *function, *message;
    int exit_code;
};
latch *start_begins;
const task *early_attacher;

} // namespace

// What the library finds under this name when libpython is in the global scope: a program's own symbols come first.
extern "C" __attribute__((visibility("default"))) start_outcome Py_InitializeFromConfig(const void *config) {
    if (start_begins) {
        start_begins->count_down();
        early_attacher->wait_until_asleep();
    }
    // RTLD_NOLOAD keeps the scope of libpython as it is, on which children of another file depend.
    void *real = dlsym(dlopen(libpython().c_str(), RTLD_LAZY | RTLD_NOLOAD), "Py_InitializeFromConfig");
    EXPECT(real);
    return reinterpret_cast<start_outcome (*)(const void *)>(real)(config);
}

CHILD("attaching before Python is initialized") {
    cpython_symbol("Py_GetVersion"); // puts libpython into the global scope
    load_python();
    latch begins("the start to begin");
    pyattach_status status = PYATTACH_INVALID;
    task early("the early thread to end", [&] {
        begins.wait();
        pyattach_attached scope;
        status = pyattach_attached_begin(&scope);
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
    });
    early_attacher = &early;
    start_begins = &begins;
    start_python();
    EXPECT(begins.is_open()); // or this test stood beside the library
    early.join();
    EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
}
TEST_CASE("an attach while the library starts Python waits from the beginning on") {
    check_succeeds("attaching before Python is initialized");
}

// --- Code that Python runs while it starts ---

CHILD("attaching in sitecustomize") {
    start_python();
    attached here;
    EXPECT(eval_int("__import__('sys').attached_in_site") == 42);
}
extern "C" __attribute__((visibility("default"))) int support_attach_in_site() {
    pyattach_attached scope;
    if (pyattach_attached_begin_unchecked(&scope) != PYATTACH_OK)
        return 0;
    pyattach_attached_end(&scope);
    return 42;
}
TEST_CASE("code that runs while Python starts may attach unchecked") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "sys.attached_in_site = ctypes.CDLL(None).support_attach_in_site()\n");
    check_succeeds("attaching in sitecustomize", {{}, {{"PYTHONPATH", site.path}}});
}
extern "C" __attribute__((visibility("default"))) int support_nest_in_site() {
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        return 0;
    pyattach_attached_end(&scope);
    return 42;
}
TEST_CASE("native code called, attached, while Python starts may nest") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "sys.attached_in_site = ctypes.PyDLL(None).support_nest_in_site()\n");
    check_succeeds("attaching in sitecustomize", {{}, {{"PYTHONPATH", site.path}}});
}
TEST_CASE("native code called, detached, while Python starts may attach") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "sys.attached_in_site = ctypes.CDLL(None).support_nest_in_site()\n");
    check_succeeds("attaching in sitecustomize", {{}, {{"PYTHONPATH", site.path}}});
}
