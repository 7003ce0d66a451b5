// A native thread that never leaves the interpreter, for tests of exits that time out.
#pragma once

#include <memory>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// Starts it, and returns its native id when it is inside: its attached scope is open, and PyEval_SaveThread has
// detached it without the library. It is abandoned, so the child has to end with end_child().
inline pid_t start_stuck_thread(const char *name = nullptr) {
    static latch never("never");
    auto inside = std::make_shared<latch>("the stuck thread to be inside");
    auto id = std::make_shared<pid_t>();
    task stuck("the stuck thread", [=] {
        if (name)
            pthread_setname_np(pthread_self(), name);
        *id = static_cast<pid_t>(syscall(SYS_gettid));
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        cpython<void *()>("PyEval_SaveThread")();
        inside->count_down();
        for (;;)
            never.wait();
    });
    inside->wait();
    stuck.abandon();
    return *id;
}

} // namespace support
