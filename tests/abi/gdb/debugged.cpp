// A program that gdb_test.py debugs: threads that are attached, that wait for Python, that are detached and idle.
#include <pyattach/pyattach.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <thread>
#include <unistd.h>

extern "C" __attribute__((noinline, visibility("default"))) void all_threads_are_there() {
    __asm__ volatile("" ::: "memory"); // gdb stops here
}

namespace {

void must(pyattach_status status) {
    if (status == PYATTACH_OK)
        return;
    std::fprintf(stderr, "%s\n", pyattach_status_message(status));
    std::exit(1);
}

[[noreturn]] void stay() {
    for (;;)
        pause();
}

// Waits until the library says so of the thread with this name.
void wait_until_it_is(const char *name, pyattach_thread_state state) {
    for (;;) {
        pyattach_thread_info threads[16];
        threads[0].struct_size = sizeof threads[0];
        const size_t count = pyattach_threads_get(threads, 16);
        for (size_t i = 0; i < count; ++i)
            if (std::strcmp(threads[i].name, name) == 0 && threads[i].state == state)
                return;
        usleep(1000);
    }
}

void be_detached() {
    pthread_setname_np(pthread_self(), "gap");
    pyattach_attached scope;
    must(pyattach_attached_begin(&scope));
    pyattach_detached gap;
    must(pyattach_detached_begin(&gap));
    stay();
}

std::atomic<bool> has_attached{false};

void be_idle() {
    pthread_setname_np(pthread_self(), "idle");
    pyattach_attached scope;
    must(pyattach_attached_begin(&scope));
    pyattach_attached_end(&scope);
    has_attached = true;
    stay();
}

void be_attached() {
    pthread_setname_np(pthread_self(), "holder");
    pyattach_attached scope;
    pyattach_attach_options options = {};
    options.struct_size = sizeof options;
    options.label = "decode";
    must(pyattach_attached_begin_with(&scope, &options));
    stay();
}

// With a GIL: behind the holder.
void want_python() {
    pthread_setname_np(pthread_self(), "waiter");
    pyattach_attached scope;
    must(pyattach_attached_begin(&scope));
    stay();
}

} // namespace

int main(int, char **arguments) {
    must(pyattach_python_load(arguments[1]));
    must(pyattach_interpreter_start());
    pyattach_python about = {};
    about.struct_size = sizeof about;
    must(pyattach_python_describe(&about));
    std::thread(be_idle).detach();
    while (!has_attached)
        usleep(1000);
    std::thread(be_detached).detach();
    wait_until_it_is("gap", PYATTACH_THREAD_IS_DETACHED);
    std::thread(be_attached).detach();
    wait_until_it_is("holder", PYATTACH_THREAD_IS_ATTACHED);
    std::thread(want_python).detach();
    wait_until_it_is("waiter", about.free_threaded ? PYATTACH_THREAD_IS_ATTACHED : PYATTACH_THREAD_IS_WAITING);
    pyattach_report(STDOUT_FILENO);
    all_threads_are_there();
    std::_Exit(0);
}
