// Daemons whose threads are those of routed code (gilstate.h).
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <memory>
#include <vector>

#include "support/fork.hpp"

using namespace support;

CHILD("daemon: a routed thread is the first") {
    start_python();
    use_python();
    {
        pyattach_attached scope;
        pyattach_detached gap;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        run("import os; hooks = []; os.register_at_fork(after_in_child=lambda: hooks.append(1))");
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        fork_plainly([&] { // as fuse_main does, called through ctypes: this thread waits for the end in C
            std::vector<std::unique_ptr<task>> others;
            for (int i = 0; i < 4; ++i)
                others.push_back(std::make_unique<task>("a routed thread to end", [] {
                    for (int j = 0; j < 3; ++j) {
                        const int handle = pyattach_gilstate_ensure();
                        EXPECT(eval_int("6 * 7") == 42);
                        pyattach_gilstate_release(handle);
                    }
                }));
            for (auto &each : others)
                each->join();
            run_on_thread(use_python); // which is not routed
            EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
            EXPECT(eval_int("len(hooks)") == 0);
            pyattach_attached_end(&scope);
            EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
        });
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
        pyattach_attached_end(&scope);
    }
    EXPECT(!stop_python());
}
TEST_CASE("in the child of a raw fork, threads of routed code attach although the thread that forked has not") {
    check_succeeds("daemon: a routed thread is the first");
}
