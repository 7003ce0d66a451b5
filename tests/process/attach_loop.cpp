// Native code as in an extension module. Loaded into an unmodified python3 by python_host_test.
#include <atomic>
#include <cstdlib>
#include <pthread.h>

#include "pyattach/pyattach.h"

namespace {

std::atomic<int> running{0};

void *attach_until_refused(void *) {
    for (bool first = true;; first = false) {
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_begin(&scope);
        if (status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED)
            return nullptr;
        if (status != PYATTACH_OK || pyattach_run("sum(range(10))", nullptr, nullptr) != PYATTACH_OK)
            std::abort();
        pyattach_attached_end(&scope);
        if (first)
            ++running;
    }
}

} // namespace

// A whole scope in one call, which may be made detached.
extern "C" __attribute__((visibility("default"))) int attach_once() {
    pyattach_attached scope;
    pyattach_status status = pyattach_attached_begin(&scope);
    if (status != PYATTACH_OK)
        return status;
    status = pyattach_run("pass", nullptr, nullptr);
    pyattach_attached_end(&scope);
    return status;
}

extern "C" __attribute__((visibility("default"))) int detach_once() {
    pyattach_detached gap;
    pyattach_status status = pyattach_detached_begin(&gap);
    return status != PYATTACH_OK ? status : pyattach_detached_end(&gap);
}

// Threads that attach until they are refused.
extern "C" __attribute__((visibility("default"))) void start_attach_loops(int threads) {
    for (int i = 0; i < threads; ++i) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, attach_until_refused, nullptr) == 0)
            pthread_detach(thread);
    }
    // The caller is detached, so the threads can attach.
    while (running < threads)
        sched_yield();
}
