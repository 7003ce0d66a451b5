// Finding a Python while libraries are being loaded, whose constructors run under the dynamic linker's lock and call
// the library.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "tests_config.hpp"

#include <atomic>
#include <climits>
#include <cstdlib>
#include <dlfcn.h>

using namespace support;

namespace {

std::function<void()> in_constructor;

// Every call that looks for a Python while there is none.
void ask_everything() {
    EXPECT(pyattach_is_attached() == 0);
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_interpreter_main() == nullptr);
    int marker = 0;
    pyattach_decref(reinterpret_cast<struct _object *>(&marker));
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_python_load("/nowhere/libpython3.so") == PYATTACH_NO_PYTHON);
}

} // namespace

extern "C" __attribute__((visibility("default"))) void called_by_constructor() {
    if (in_constructor)
        in_constructor();
}

CHILD("a constructor asks while another thread is in the middle of looking") {
    std::atomic<bool> is_over{false};
    std::string failed = "the constructor was not called";
    task looking("the looking thread to end", [&] {
        while (!is_over)
            pyattach_is_attached();
    });
    in_constructor = [&] {
        // The dynamic linker's lock is this thread's, so the other one soon waits for it, in the middle of a call.
        looking.wait_until_asleep();
        try {
            ask_everything();
            failed = "";
        } catch (const std::exception &error) { // not through the dynamic linker
            failed = error.what();
        }
    };
    const bool is_loaded = dlopen(TESTS_CONSTRUCTOR, RTLD_NOW | RTLD_LOCAL);
    if (!is_loaded)
        failed = dlerror();
    is_over = true; // whatever failed, or the looking thread would be waited for in vain
    looking.join();
    EXPECT_SENTENCE(failed.empty(), failed);
}
TEST_CASE("a library's constructor may call while another thread looks for a Python: neither waits for the other") {
    check_succeeds("a constructor asks while another thread is in the middle of looking");
}

CHILD("a python is named while another one is being loaded") {
    messages said;
    pyattach_status inner = PYATTACH_INVALID;
    in_constructor = [&] { inner = pyattach_python_load(libpython().c_str()); };
    EXPECT(pyattach_python_load(TESTS_FAKE_CALLING) == PYATTACH_INVALID);
    EXPECT_SENTENCE(said.text().find("already") != std::string::npos, said.text());
    EXPECT(inner == PYATTACH_OK);
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_OK);
    char named[PATH_MAX];
    EXPECT(realpath(libpython().c_str(), named) && std::string(python.path) == named);
    start_python();
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("of two Pythons that are named at once the first to be ready is used, and the other is refused") {
    check_succeeds("a python is named while another one is being loaded");
}

CHILD("the same python is named while it is being loaded") {
    pyattach_status inner = PYATTACH_INVALID;
    in_constructor = [&] { inner = pyattach_python_load(TESTS_FAKE_CALLING); };
    EXPECT(pyattach_python_load(TESTS_FAKE_CALLING) == PYATTACH_OK);
    EXPECT(inner == PYATTACH_OK);
    EXPECT(dlsym(RTLD_DEFAULT, "Py_IsInitialized")); // and it is in the global scope
}
TEST_CASE("a Python that is named twice at once is one Python") {
    check_succeeds("the same python is named while it is being loaded");
}
