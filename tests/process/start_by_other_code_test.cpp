// Py_Initialize by other code while native threads already attach.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <memory>
#include <sched.h>
#include <vector>

#include "support/plain_python.hpp"

using namespace support;

namespace {

latch site_runs("sitecustomize to run"), early_threads_came("the early threads to come", 4);
std::vector<std::unique_ptr<task>> early;

} // namespace

// Called by sitecustomize through ctypes, which detaches for the call.
extern "C" __attribute__((visibility("default"))) void support_pause_in_foreign_site() {
    site_runs.count_down();
    early_threads_came.wait();
    for (auto &thread : early)
        thread->wait_until_asleep();
}

CHILD("attaching while the host starts Python") {
    load_python();
    std::atomic<int> complete{0};
    for (int i = 0; i < 4; ++i)
        early.push_back(std::make_unique<task>("an early thread to end", [&] {
            site_runs.wait();
            early_threads_came.count_down();
            pyattach_attached scope;
            pyattach_status status = pyattach_attached_begin(&scope);
            if (status == PYATTACH_OK) {
                complete += eval_true("getattr(__import__('sys'), 'site_is_complete', False)");
                pyattach_attached_end(&scope);
            } else {
                // From 3.15 on Py_IsInitialized() is false while Python starts.
                EXPECT(status == PYATTACH_NOT_INITIALIZED && python_version() >= 0x030f0000);
                ++complete;
            }
        }));
    plain::start();
    cpython<void *()>("PyEval_SaveThread")();
    for (auto &thread : early)
        thread->join();
    EXPECT(complete == 4);
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("an attach during Py_Initialize on another thread does not succeed before site is complete") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "ctypes.CDLL(None).support_pause_in_foreign_site()\n"
                                              "sys.site_is_complete = True\n");
    check_succeeds("attaching while the host starts Python",
                   {{}, {{"PYTHONPATH", site.path}, {"PYTHONDONTWRITEBYTECODE", "1"}}});
}

CHILD("attaching on the thread with which the host starts Python") {
    plain::start();
    cpython<void *()>("PyEval_SaveThread")();
    attached here;
    int status = static_cast<int>(eval_int("__import__('sys').status_in_site"));
    // From 3.15 on Py_IsInitialized() is false while Python starts.
    EXPECT(status == PYATTACH_OK || (status == PYATTACH_NOT_INITIALIZED && python_version() >= 0x030f0000));
}
extern "C" __attribute__((visibility("default"))) int support_attach_in_foreign_site() {
    load_python();
    pyattach_attached scope;
    pyattach_status status = pyattach_attached_begin(&scope);
    if (status == PYATTACH_OK)
        pyattach_attached_end(&scope);
    return status;
}
TEST_CASE("the thread that runs Py_Initialize does not wait for itself") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "call = ctypes.CDLL(None).support_attach_in_foreign_site\n"
                                              "sys.status_in_site = call()\n");
    check_succeeds("attaching on the thread with which the host starts Python", {{}, {{"PYTHONPATH", site.path}}});
}

CHILD("attaching before, while and after the host starts Python") {
    load_python();
    std::atomic<bool> is_over{false};
    std::atomic<int> attached_times{0};
    for (int i = 0; i < 4; ++i)
        early.push_back(std::make_unique<task>("an impatient thread to end", [&] {
            while (!is_over) {
                pyattach_attached scope;
                pyattach_status status = pyattach_attached_begin(&scope);
                EXPECT(status == PYATTACH_OK || status == PYATTACH_NOT_INITIALIZED);
                if (status != PYATTACH_OK) {
                    sched_yield(); // else they keep the cores from the thread that starts Python
                    continue;
                }
                EXPECT(eval_int("6 * 7") == 42);
                pyattach_attached_end(&scope);
                ++attached_times;
            }
        }));
    plain::start();
    cpython<void *()>("PyEval_SaveThread")();
    wait_until("the impatient threads to attach", [&] { return attached_times > 100; });
    is_over = true;
    for (auto &thread : early)
        thread->join();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("threads that poll during Py_Initialize are refused first and attached afterwards") {
    for (int round = 0; round < 5; ++round)
        check_succeeds("attaching before, while and after the host starts Python");
}
