// Acts: forks by os.fork(), and by code without Python's hooks; and the acts of their children.
#include <cerrno>
#include <cstdlib>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "soak/soak.hpp"
#include "support/python.hpp"
#include "support/sanitizers.hpp"

namespace soak {
namespace {

using support::cpython;

// Up to 3.11 a debug build asserts that the first state of an interpreter is made once, which a native thread's child
// does again. The address sanitizer's allocator cannot be forked while other threads use it.
bool can_fork() {
    static const bool can =
        !(support::is_debug_build() && support::python_version() < 0x030c0000) && !support::is_address_sanitized;
    return can;
}
// CPython does not fork while there are sub-interpreters: a generation with sub-interpreters has no forks
// (on_stage().may_fork). Free-threaded, the child of os.fork() may hang on the lock of an object (docs/limits.md).
bool may_fork(const actor &me) {
    return can_fork() && !me.is_in_child && !me.is_in_sub && on_stage().may_fork && !support::is_free_threaded();
}
bool may_fork_plainly(const actor &me) { return can_fork() && !me.is_in_child; }

pid_t pid_of_process() {
    static const pid_t own_pid = getpid();
    return own_pid;
}

void wait_for_child(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        HOLDS(errno == EINTR);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    const std::string how = "status " + std::to_string(status);
    wrong(__FILE__, __LINE__, "a child of a fork did not end well", how.c_str());
}

bool try_lock_forks() {
    if (!on_stage().forking.try_lock())
        return false;
    const bool is_locked = on_stage().loader.try_lock();
    if (!is_locked)
        on_stage().forking.unlock();
    return is_locked;
}
void unlock_forks() {
    on_stage().loader.unlock();
    on_stage().forking.unlock();
}

[[noreturn]] void leave(actor &me) {
    me.note("ends");
    if (me.one_in(4))
        execl("/bin/true", "true", static_cast<char *>(nullptr));
    _exit(0);
}

void *in_thread_of_child(void *arg) {
    actor me("thread of a child", *static_cast<std::uint64_t *>(arg));
    me.is_in_child = true;
    (void)attach_and_play(me);
    return nullptr;
}

void run_thread_in_child(actor &me) {
    std::uint64_t seed = me.new_seed();
    pthread_t thread;
    me.note("a thread of the child");
    HOLDS(pthread_create(&thread, nullptr, in_thread_of_child, &seed) == 0);
    pthread_join(thread, nullptr);
}

void play_outside_in_child(actor &me) {
    for (unsigned i = me.below(4); i > 0; --i)
        (void)attach_and_play(me);
    if (me.one_in(2))
        run_thread_in_child(me);
}

// In the child of os.fork(). Attached, by scopes that stay open.
[[noreturn]] void live_after_os_fork(actor &me) {
    me.is_in_child = true;
    on_stage().is_ending = false;
    HOLDS(pyattach_is_attached());
    (void)play_inside(me);
    if (me.one_in(2)) {
        pyattach_detached gap;
        me.note("detached in the child");
        HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
        play_outside_in_child(me);
        HOLDS(pyattach_detached_end(&gap) == PYATTACH_OK);
    }
    HOLDS(pyattach_pool_drain() == PYATTACH_OK);
    if (me.one_in(2)) {
        me.note("ends Python in the child");
        const pyattach_status status = pyattach_interpreter_stop();
        // From 3.13 on CPython cannot end in a child that another thread than the main one forked; nor, free-threaded
        // 3.13, on another thread than the one that started it. Nor does the library inside a detached scope.
        HOLDS_STATUS(status, status == PYATTACH_OK || (status == PYATTACH_INVALID && (!me.is_host || me.gaps > 0)));
    }
    leave(me);
}

bool os_fork(actor &me) {
    static auto *const as_long = cpython<long long(object *)>("PyLong_AsLongLong");
    object *os = nullptr, *function = nullptr, *result = nullptr;
    HOLDS(pyattach_import("os", &os) == PYATTACH_OK);
    HOLDS(pyattach_get_attribute(os, "fork", &function) == PYATTACH_OK);
    pyattach_decref(os);
    if (!try_lock_forks())
        return pyattach_decref(function), true;
    const pyattach_status called = pyattach_call(function, nullptr, 0, &result);
    if (pid_of_process() == getpid())
        unlock_forks();
    pyattach_decref(function);
    if (called != PYATTACH_OK) { // too late: Python ends
        pyattach_error_clear();
        return true;
    }
    const auto child = static_cast<pid_t>(as_long(result));
    if (child == 0)
        live_after_os_fork(me);
    pyattach_decref(result);
    ++on_stage().forks;
    pyattach_detached gap;
    me.note("waits for its child");
    HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    wait_for_child(child);
    return pyattach_detached_end(&gap) == PYATTACH_OK;
}

// CPython's fork hooks did not run. The library refuses, or repairs Python itself if no other thread was inside.
[[noreturn]] void live_after_plain_fork(actor &me, pyattach_attached *open, pyattach_detached *gap) {
    me.is_in_child = true;
    if (gap) {
        me.note("ends its gap in the child");
        const pyattach_status status = pyattach_detached_end(gap);
        HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_UNSUPPORTED);
    }
    if (open && me.one_in(2)) {
        me.note("ends its scope in the child");
        pyattach_attached_end(open);
        open = nullptr;
    }
    if (me.one_in(2))
        me.give_all_back();
    if (me.one_in(2)) {
        pyattach_once once = PYATTACH_ONCE_INIT;
        pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
        pyattach_mutex_lock(&mutex);
        pyattach_mutex_unlock(&mutex);
        HOLDS(pyattach_once_run(
                  &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_OK);
        (void)pyattach_is_attached();
        (void)pyattach_pool_size();
        (void)pyattach_interpreter_main();
    }
    if (!open && me.one_in(2)) {
        me.note("attaches in the child");
        pyattach_attached scope;
        const pyattach_status status = pyattach_attached_begin(&scope);
        HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_UNSUPPORTED || is_refusal(status));
        if (status == PYATTACH_OK) {
            (void)play_inside(me);
            pyattach_attached_end(&scope);
            play_outside_in_child(me);
        }
    }
    if (me.one_in(4)) {
        me.note("stops in the child");
        const pyattach_status status = pyattach_interpreter_stop();
        HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_UNSUPPORTED || status == PYATTACH_INVALID ||
                                 status == PYATTACH_NOT_INITIALIZED);
    }
    leave(me);
}

void fork_and_wait(actor &me, pyattach_attached *open, pyattach_detached *gap) {
    if (!try_lock_forks())
        return;
    // A library that has not found Python cannot tell the child of a plain fork from that of os.fork(). (Another actor
    // starts Python.)
    const bool has_met_python = on_stage().has_met_python;
    const pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0 && !has_met_python)
        leave(me);
    if (child == 0)
        live_after_plain_fork(me, open, gap);
    unlock_forks();
    ++on_stage().forks;
    me.note("waits for its child");
    wait_for_child(child);
}

bool fork_outside(actor &me) {
    fork_and_wait(me, nullptr, nullptr);
    return true;
}

bool fork_in_scope(actor &me) {
    pyattach_attached scope;
    pyattach_detached gap;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        return true;
    (void)play_inner(me);
    if (pyattach_is_attached()) {
        if (me.one_in(2)) {
            fork_and_wait(me, &scope, nullptr);
        } else if (pyattach_detached_begin(&gap) == PYATTACH_OK) {
            fork_and_wait(me, &scope, &gap);
            if (pyattach_detached_end(&gap) == PYATTACH_OK)
                me.note("back in its scope");
        }
    }
    pyattach_attached_end(&scope);
    return true;
}

// --- A pool of threads that joins its workers around a fork, as those of BLAS and gRPC do
// -----------------------------

// Registered before the library registers its own handlers, so it runs while the library has prepared for the fork.
struct pool {
    pthread_t worker;
    bool has_worker = false;
    std::atomic<bool> may_end{false};
};
pool &around_forks() {
    static pool &all = *new pool;
    return all;
}

void *pool_work(void *) {
    while (!around_forks().may_end) {
        pyattach_decref_in(on_stage().ended, nullptr);
        (void)pyattach_pool_size();
        pause_us(500);
    }
    return nullptr;
}
void start_pool() {
    around_forks().may_end = false;
    around_forks().has_worker = pthread_create(&around_forks().worker, nullptr, pool_work, nullptr) == 0;
}
void join_pool() {
    around_forks().may_end = true;
    if (std::exchange(around_forks().has_worker, false))
        pthread_join(around_forks().worker, nullptr);
}

} // namespace

// In glibc a fork aborts if exit() finalizes a library meanwhile, which takes the library's handlers off the list that
// the fork goes through.
void forbid_forks() { on_stage().forking.lock(); }

void keep_pool_around_forks() {
    (void)pid_of_process();
    HOLDS(pthread_atfork(join_pool, start_pool, nullptr) == 0);
}

const std::vector<act> fork_acts = {
    {"os.fork", 1, os_fork, may_fork},
};

const std::vector<act> outer_fork_acts = {
    {"fork outside", 1, fork_outside, may_fork_plainly},
    {"fork in a scope", 1, fork_in_scope, may_fork_plainly},
};

} // namespace soak
