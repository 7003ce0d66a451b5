// A free-threaded Python whose GIL is switched on while it runs: by PYTHON_GIL=1, or by an extension module that does
// not say that it can do without, while native threads are attached and warm.
#include "support/catch.hpp"
#include "support/child.hpp"

#include "neighbours/neighbour.hpp"

using namespace support;
using namespace neighbours;

namespace {

// Not atomic, and not guarded by anything but the GIL.
volatile int unguarded;

bool is_gil_on() { return eval_true("__import__('sys')._is_gil_enabled()"); }

// Attached, without a place where CPython would let another thread run.
void count_to_a_thousand() {
    for (int i = 0; i < 1000; ++i)
        unguarded = unguarded + 1;
}

// All that this library does on many threads, with whichever GIL there is.
void use_everything(const std::function<void()> &while_attached) {
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    int guarded = 0;
    leave_no_states([&] {
        run_on_threads(4, "a thread that uses everything to end", [&](int) {
            std::vector<ref> kept;
            for (int i = 0; i < 50; ++i) {
                {
                    attached here;
                    void *state = current_tstate();
                    EXPECT(is_attached());
                    while_attached();
                    kept.push_back(new_object());
                    {
                        detached gap;
                        EXPECT(!is_attached());
                        foreign_attach other;
                        EXPECT(is_attached());
                        EXPECT(current_tstate() == state);
                    }
                    {
                        foreign_detach gap;
                        EXPECT(!is_attached());
                        attached again;
                        EXPECT(eval_int("2 + 3") == 5);
                    }
                    pyattach_mutex_lock(&mutex);
                    int before = guarded;
                    run("pass");
                    guarded = before + 1;
                    pyattach_mutex_unlock(&mutex);
                    EXPECT(current_tstate() == state);
                }
                EXPECT(!is_attached());
                if (i % 10 == 9)
                    kept.clear();
            }
        });
    });
    EXPECT(guarded == 200);
    attached here;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(pyattach_pool_size() == 0);
}

} // namespace

CHILD("a GIL switched on from the start") {
    start_python();
    {
        attached here;
        EXPECT(is_gil_on());
    }
    unguarded = 0;
    use_everything(count_to_a_thousand);
    EXPECT(unguarded == 4 * 50 * 1000);
    EXPECT(!stop_python());
}

CHILD("a GIL switched on by an import") {
    start_python();
    {
        attached here;
        run("import sys, warnings\n"
            "warnings.simplefilter('ignore')\n"
            "sys.path.insert(0, '" +
            child_arguments().at(0) + "')\n");
        EXPECT(!is_gil_on());
    }
    // One of four threads imports it while the others attach and detach, each in a state that is warm.
    std::atomic<bool> is_imported{false};
    std::atomic<int> rounds{0};
    leave_no_states([&] {
        run_on_threads(4, "a thread beside the import to end", [&](int which) {
            { attached here; }
            if (which == 0) {
                wait_until("the others to be busy", [&] { return rounds > 30; });
                attached here;
                run("import undeclared");
                EXPECT(is_gil_on());
                is_imported = true;
            }
            for (int after = 0; after < 50; after += is_imported ? 1 : 0) {
                attached here;
                EXPECT(eval_int("6 * 7") == 42);
                detached gap;
                EXPECT(!is_attached());
                ++rounds;
            }
        });
    });
    unguarded = 0;
    use_everything(count_to_a_thousand);
    EXPECT(unguarded == 4 * 50 * 1000);
    EXPECT(!stop_python());
}

TEST_CASE("with the GIL enabled by PYTHON_GIL=1 in a free-threaded build attaching excludes other threads") {
    load_python();
    if (!is_free_threaded()) {
        std::printf("gil: SKIPPED:\nthis Python has no GIL to switch on: it is on\n");
        std::fflush(nullptr);
        std::_Exit(77);
    }
    check_succeeds("a GIL switched on from the start", {{}, {{"PYTHON_GIL", "1"}}});
}

TEST_CASE("a GIL that an import enables also binds threads that are attached already") {
    load_python();
    const char *modules = std::getenv("PYATTACH_TEST_MODULES");
    REQUIRE(modules); // extensions.py says where the module without a declaration is
    check_succeeds("a GIL switched on by an import", {{modules}, {}});
}
