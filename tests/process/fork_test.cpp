// pyattach_fork: a host without Python.h forks as os.fork() does.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <cerrno>
#include <dlfcn.h>
#include <functional>

#include "support/fork.hpp"

using namespace support;

namespace {
bool is_fork_failing = false;
}

// Interposes fork() of libc.
extern "C" pid_t fork() {
    static auto *const real = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "fork"));
    if (!is_fork_failing)
        return real();
    errno = EAGAIN;
    return -1;
}

namespace {

// In the child `live` runs, attached if the caller is.
void fork_by_library(const std::function<void()> &live) {
    long long pid = -1;
    std::fflush(stdout);
    EXPECT(pyattach_fork(&pid) == PYATTACH_OK);
    if (pid == 0)
        live_in_child(live);
    EXPECT(pid > 0);
    expect_exit_0(static_cast<pid_t>(pid));
}

void live_with_threads() {
    for (int i = 0; i < 3; ++i)
        run_on_thread(use_python);
    use_python();
}

} // namespace

CHILD("fork: attached and not") {
    start_python();
    bystanders others(4); // some of them inside
    fork_by_library([] {
        EXPECT(!pyattach_is_attached());
        live_with_threads();
        fork_by_library(live_with_threads);
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    });
    EXPECT(!pyattach_is_attached());
    run_on_thread([] { fork_by_library(live_with_threads); }); // one that has no state yet
    {
        attached here;
        fork_by_library([] {
            EXPECT(pyattach_attach_depth() == 1);
            EXPECT(eval_int("6 * 7") == 42);
            detached detached_frame;
            live_with_threads();
            EXPECT(detached_frame.end() == PYATTACH_OK);
            EXPECT(eval_int("6 * 7") == 42);
        });
        EXPECT(pyattach_attach_depth() == 1);
        detached detached_frame;
        fork_by_library([&] {
            EXPECT(!pyattach_is_attached());
            live_with_threads();
            EXPECT(detached_frame.end() == PYATTACH_OK);
            EXPECT(eval_int("6 * 7") == 42);
            here.end();
        });
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("pyattach_fork returns in two processes, each in the state the caller was in, and the child uses Python") {
    // See fork_without_hooks_test: there a debug build asserts that an interpreter's first state is made once.
    load_python();
    if (is_debug_build() && python_version() < 0x030c0000)
        return;
    check_succeeds("fork: attached and not");
}

CHILD("fork: hooks") {
    start_python();
    attached here;
    run("import os\n"
        "said = []\n"
        "os.register_at_fork(before=lambda: said.append('before'), after_in_parent=lambda: said.append('parent'),\n"
        "                    after_in_child=lambda: said.append('child'))\n");
    fork_by_library([] { EXPECT(eval_text("' '.join(said)") == "before child"); });
    EXPECT(eval_text("' '.join(said)") == "before parent");
    run("said.clear(); os.register_at_fork(before=lambda: 1 / 0); import sys; sys.unraisablehook = lambda *_: None");
    auto *set_error = cpython<void(object *, const char *)>("PyErr_SetString");
    set_error(*static_cast<object **>(cpython_symbol("PyExc_ValueError")), "kept");
    fork_by_library([] { EXPECT(cpython<object *()>("PyErr_Occurred")()); });
    EXPECT(cpython<object *()>("PyErr_Occurred")());
    cpython<void()>("PyErr_Clear")();
    EXPECT(eval_text("' '.join(said)") == "before parent");
}
TEST_CASE("pyattach_fork runs the functions of os.register_at_fork, and keeps a pending exception") {
    check_succeeds("fork: hooks");
}

CHILD("fork: refused") {
    long long pid = 77;
    EXPECT(pyattach_fork(nullptr) == PYATTACH_INVALID);
    load_python();
    EXPECT(pyattach_fork(&pid) == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_forked() == PYATTACH_NOT_INITIALIZED);
    start_python();
    {
        forbidden there;
        EXPECT(pyattach_fork(&pid) == PYATTACH_FORBIDDEN);
        EXPECT(pyattach_forked() == PYATTACH_FORBIDDEN);
    }
    is_fork_failing = true;
    errno = 0;
    EXPECT(pyattach_fork(&pid) == PYATTACH_NO_MEMORY);
    EXPECT(errno == EAGAIN);
    is_fork_failing = false;
    use_python(); // Python has been told that there is no child
    pid = 77;
    {
        messages heard;
        attached here;
        sub_interpreter other;
        EXPECT(pyattach_fork(&pid) == PYATTACH_UNSUPPORTED);
        EXPECT(heard.text().find("sub-interpreters") != std::string::npos);
    }
    EXPECT(pyattach_forked() == PYATTACH_OK); // nothing to do
    static pyattach_status at_exit = PYATTACH_OK;
    static long long *there = &pid;
    auto try_it = [](pyattach_interpreter *, void *) { at_exit = run_on_thread([] { return pyattach_fork(there); }); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), try_it, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(at_exit == PYATTACH_FINALIZING);
    EXPECT(pyattach_fork(&pid) == PYATTACH_NOT_INITIALIZED);
    EXPECT(pid == 77);
}
TEST_CASE("pyattach_fork says why it makes no process, and changes nothing then") { check_succeeds("fork: refused"); }
