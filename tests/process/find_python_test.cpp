// Finding a Python: none, one of many kinds that will not do, two, one that hides, one that comes later.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "tests_config.hpp"

#include <climits>
#include <cstdlib>
#include <dlfcn.h>
#include <glob.h>

using namespace support;

namespace {

void expect_no_python() {
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_attached_begin_unchecked(&scope) == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_interpreter_start() == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NO_PYTHON);
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_NO_PYTHON);
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_NOT_ATTACHED);
    EXPECT(pyattach_is_attached() == 0);
    EXPECT(pyattach_attach_depth() == 0);
    EXPECT(pyattach_interpreter_main() == nullptr);
    EXPECT(pyattach_interpreter_current() == nullptr);
    EXPECT(pyattach_pool_size() == 0);
    EXPECT(pyattach_pool_drain() == PYATTACH_NOT_ATTACHED);
    int marker = 0;
    auto *object = reinterpret_cast<struct _object *>(&marker);
    EXPECT(pyattach_incref(object) == PYATTACH_NOT_ATTACHED);
    pyattach_decref(object); // no interpreter it could belong to: leaked
    EXPECT(pyattach_pool_size() == 0);
    forbidden traverse;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_FORBIDDEN);
}

// A Python that will not do, refused by every way of using it.
void expect_unsupported(const std::string &path, const std::string &word) {
    messages said;
    EXPECT(pyattach_python_load(path.c_str()) == PYATTACH_UNSUPPORTED);
    EXPECT_SENTENCE(said.text().find(word) != std::string::npos, "the message lacks \"" + word + "\": " + said.text());
}

} // namespace

CHILD("no python") {
    expect_no_python();
    run_on_thread(expect_no_python);
}
TEST_CASE("without a Python in the process everything is refused, and nothing crashes") { check_succeeds("no python"); }

CHILD("a python that comes later") {
    expect_no_python();
    start_python();
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a Python that comes after the library was asked is found") { check_succeeds("a python that comes later"); }

CHILD("a python that is loaded but not started") {
    load_python();
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_OK);
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_attached_begin_unchecked(&scope) == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_interpreter_main() == nullptr);
    EXPECT(pyattach_is_attached() == 0);
    int marker = 0;
    pyattach_decref(reinterpret_cast<struct _object *>(&marker));
    EXPECT(pyattach_pool_size() == 0);
}
CHILD("a python for everybody") {
    EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
    EXPECT(dlsym(RTLD_DEFAULT, "Py_IsInitialized")); // extension modules that do not link libpython need it there
}
TEST_CASE("a Python that was named is loaded into the global scope") { check_succeeds("a python for everybody"); }

TEST_CASE("a Python that is loaded and not started is described, and refuses to attach") {
    check_succeeds("a python that is loaded but not started");
}

CHILD("a file that is not there") {
    messages said;
    EXPECT(pyattach_python_load("/nowhere/libpython3.so") == PYATTACH_NO_PYTHON);
    EXPECT(said.text().find("/nowhere/libpython3.so") != std::string::npos);
    expect_no_python();
}
CHILD("a library that is no python") {
    messages said;
    pyattach_status status = pyattach_python_load("libm.so.6");
    EXPECT(status == PYATTACH_UNSUPPORTED || status == PYATTACH_NO_PYTHON);
    EXPECT(said.text() != "");
    expect_no_python();
}
TEST_CASE("a path that is no Python is refused with its name, and leaves all as it was") {
    check_succeeds("a file that is not there");
    check_succeeds("a library that is no python");
}

CHILD("an older python") { expect_unsupported(TESTS_FAKE_OLD, "3.8"); }
CHILD("a python that lacks a function") { expect_unsupported(TESTS_FAKE_LACKING, "PyThreadState_New"); }
CHILD("a pypy") { expect_unsupported(TESTS_FAKE_PYPY, "PyPy"); }
TEST_CASE("an older Python, PyPy, and one that lacks a function are refused with the reason") {
    check_succeeds("an older python");
    check_succeeds("a python that lacks a function");
    check_succeeds("a pypy");
}

CHILD("another python after one that was refused") {
    expect_unsupported(TESTS_FAKE_OLD, "3.8");
    expect_unsupported(TESTS_FAKE_LACKING, "PyThreadState_New");
    expect_no_python(); // a refused call changed nothing
    start_python();
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("after a Python that was refused another one can be named") {
    check_succeeds("another python after one that was refused");
}

CHILD("an older python in the process") {
    EXPECT(dlopen(TESTS_FAKE_OLD, RTLD_NOW | RTLD_GLOBAL));
    messages said;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
    EXPECT(pyattach_interpreter_start() == PYATTACH_UNSUPPORTED);
    EXPECT(pyattach_python_load(nullptr) == PYATTACH_UNSUPPORTED);
    EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_UNSUPPORTED); // a second one beside it is no way out
    EXPECT(pyattach_is_attached() == 0);
    EXPECT(said.text().find("3.8") != std::string::npos);
}
TEST_CASE("an older Python that is in the process already is refused too") {
    check_succeeds("an older python in the process");
}

CHILD("the real 3.8") {
    expect_unsupported(child_arguments()[0], "3.8");
    expect_unsupported(child_arguments()[0], "3.8"); // and again
}
TEST_CASE("the real CPython 3.8 is refused, where there is one") {
    const char *home = std::getenv("HOME");
    glob_t found{};
    std::string pattern = std::string(home ? home : "") + "/.pyenv/versions/3.8.*/lib/libpython3.8.so.1.0";
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
        check_succeeds("the real 3.8", {{found.gl_pathv[0]}});
    else
        WARN("no CPython 3.8 here: not tested");
    globfree(&found);
}

CHILD("a host that loads python RTLD_LOCAL") {
    void *handle = dlopen(libpython().c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT(handle);
    EXPECT(!dlsym(RTLD_DEFAULT, "Py_IsInitialized")); // hidden indeed
    auto *initialize = reinterpret_cast<void (*)(int)>(dlsym(handle, "Py_InitializeEx"));
    auto *save = reinterpret_cast<void *(*)()>(dlsym(handle, "PyEval_SaveThread"));
    setenv("PYTHONHOME", child_arguments()[0].c_str(), 1);
    initialize(0);
    save();
    EXPECT(!dlsym(RTLD_DEFAULT, "Py_IsInitialized")); // still
    {
        attached here;
        object *result = nullptr;
        EXPECT(pyattach_eval("6 * 7", nullptr, nullptr, &result) == PYATTACH_OK);
        pyattach_decref(result);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a Python that its host loaded RTLD_LOCAL is found") {
    child_result home = run_program({python_executable(), "-c", "import sys; print(sys.base_prefix, end='')"});
    REQUIRE(home.exit_code == 0);
    check_succeeds("a host that loads python RTLD_LOCAL", {{home.output}});
}

CHILD("two pythons, none in scope") {
    EXPECT(dlopen(libpython().c_str(), RTLD_NOW | RTLD_LOCAL));
    EXPECT(dlopen(TESTS_FAKE_OTHER, RTLD_NOW | RTLD_LOCAL));
    messages said;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
    EXPECT(said.text().find("two") != std::string::npos);
    // Naming one settles it.
    EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
    // And then another is refused.
    EXPECT(pyattach_python_load(TESTS_FAKE_OTHER) == PYATTACH_INVALID);
    EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
}
CHILD("two pythons, one in scope") {
    EXPECT(dlopen(TESTS_FAKE_OTHER, RTLD_NOW | RTLD_LOCAL));
    EXPECT(dlopen(libpython().c_str(), RTLD_NOW | RTLD_GLOBAL));
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_OK);
    char in_scope[PATH_MAX];
    EXPECT(realpath(libpython().c_str(), in_scope) && std::string(python.path) == in_scope);
    start_python();
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("of two Pythons the one in scope is used; if neither is, the caller has to name one") {
    check_succeeds("two pythons, none in scope");
    check_succeeds("two pythons, one in scope");
}

CHILD("eight threads look for python at once") {
    open_libpython_on_a_thread_that_stays();
    barrier together("all threads to be ready", 8);
    run_on_threads(8, "a looking thread to end", [&](int) {
        together.arrive_and_wait();
        EXPECT(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
        EXPECT(python_version() >= 0x03090000);
    });
}
TEST_CASE("threads that look for Python at once find the same") {
    check_succeeds("eight threads look for python at once");
}
