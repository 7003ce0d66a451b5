// Restarts of Python, and the end of the process.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <pthread.h>
#include <unistd.h>

#include "soak/soak.hpp"
#include "support/plain_python.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"

namespace soak {
namespace {

using support::cpython;
timespec began;

// --- Natives: the threads that run through all restarts

void *be_native(void *arg) {
    auto &me = *static_cast<actor *>(arg);
    while (!on_stage().is_over) {
        play_outer(me);
        if (on_stage().wants_exit.exchange(false)) {
            forbid_forks(); // while this thread is not attached, for which a fork may wait
            pyattach_attached scope;
            const bool attached = pyattach_attached_begin(&scope) == PYATTACH_OK;
            me.note(attached ? "exit() inside" : "exit()");
            std::exit(0);
        }
    }
    delete &me;
    return nullptr;
}

void start_natives(actor &me) {
    for (int i = 0; i < natives; ++i) {
        pthread_t thread;
        auto *native = new actor("native", me.new_seed());
        HOLDS(pthread_create(&thread, nullptr, be_native, native) == 0);
        pthread_detach(thread);
    }
}

// Parked threads stay. All other waits end, or the driver's debugger shows what they wait for.
void wait_for_natives(actor &me) {
    on_stage().is_over = true;
    me.note("waits for the others to end");
    while (on_stage().actors_alive - on_stage().parked > 1)
        pause_us(1000);
}

// --- A life that its host both starts and ends

void start_life(actor &me) {
    const bool by_library = me.below(3) != 0;
    me.note(by_library ? "starts Python" : "Py_InitializeEx");
    if (by_library) {
        pyattach_start_options options{};
        options.struct_size = sizeof options;
        options.program_name = support::python_executable().c_str();
        const pyattach_status status = pyattach_interpreter_start_with(&options);
        HOLDS_STATUS(status, status == PYATTACH_OK);
    } else {
        plain::start();
        plain::python().save();
    }
    HOLDS(!pyattach_is_attached());
    support::attached inside;
    support::run("import sys, threading, time, warnings\n"
                 "warnings.simplefilter('ignore')\n"
                 "sys.unraisablehook = lambda about: None\n"
                 "own = threading.local()\n"
                 "def fail(): raise ValueError('a failure that is meant')\n"
                 "def work():\n"
                 "    own.calls = getattr(own, 'calls', 0) + 1\n"
                 "    if own.calls % 7 == 0: time.sleep(0)\n"
                 "    return [str(i) for i in range(10)]\n");
    begin_life_below_ceilings();
    on_stage().has_met_python = true;
}

void prepare_end(actor &me) {
    close_model();
    register_plugins();
    support::attached inside;
    end_subs(me);
}

void end_life(actor &me) {
    on_stage().is_ending = true;
    on_stage().may_fork = false;
    on_stage().has_met_python = false;
    on_stage().loader.lock(); // a thread that saw the other value forks with this lock held
    on_stage().loader.unlock();
    prepare_end(me);
    pyattach_interpreter *const handle = pyattach_interpreter_main();
    HOLDS(handle);
    switch (me.below(3)) {
    case 0: {
        me.note("attached, Py_FinalizeEx");
        support::attached inside;
        HOLDS(cpython<int()>("Py_FinalizeEx")() == 0);
        break;
    }
    case 1: {
        me.note("PyGILState_Ensure, Py_FinalizeEx");
        cpython<int()>("PyGILState_Ensure")();
        HOLDS(cpython<int()>("Py_FinalizeEx")() == 0);
        break;
    }
    default: {
        me.note("stops Python");
        const pyattach_status status = pyattach_interpreter_stop();
        HOLDS_STATUS(status, status == PYATTACH_OK);
    }
    }
    me.note("has ended Python");
    pyattach_attached late;
    HOLDS(is_refusal(pyattach_attached_begin(&late)));
    on_stage().ended = handle;
    on_stage().is_ending = false;
    ++on_stage().lives;
}

// One generation, from the start of Python to just before its end.
void live_once(actor &me, double until, bool is_last, unsigned seconds_in_all) {
    start_life(me);
    // CPython does not fork while there are sub-interpreters.
    const bool has_subs = me.one_in(2) && support::makes_them_beside_threads();
    on_stage().may_fork = !has_subs;
    if (me.one_in(2))
        open_model();
    // Up to 3.12 threading._after_fork() makes a thread object before it renews the lock that this takes, which a
    // thread of Python's own may have held at the fork: the child of another thread than Python's hangs.
    if (me.one_in(3) && (has_subs || support::python_version() >= 0x030d0000)) {
        support::attached inside;
        start_python_threads(me, is_last);
    }
    while (seconds_lived() < until) {
        if (has_subs && me.one_in(4)) {
            support::attached inside;
            change_subs(me);
        } else if (me.one_in(8)) {
            look_at_ceilings(false, seconds_in_all);
        } else {
            play_outer(me);
        }
    }
}

// --- Two hosts that know nothing of each other

void race(actor &me, double until) {
    while (seconds_lived() < until) {
        me.note("starts Python, beside another");
        pyattach_status status = pyattach_interpreter_start();
        // FINALIZING: the other host is ending Python, and has not come to the point where a start waits for it.
        HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_FINALIZING);
        for (unsigned i = me.below(8); i > 0; --i)
            play_outer(me);
        me.note("stops Python, beside another");
        status = pyattach_interpreter_stop();
        // INVALID: the handle is of the other interpreter.
        HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_INVALID || status == PYATTACH_NOT_INITIALIZED);
        on_stage().lives += status == PYATTACH_OK;
    }
    const pyattach_status status = pyattach_interpreter_stop();
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_INVALID || status == PYATTACH_NOT_INITIALIZED);
}

void *be_second_host(void *arg) {
    auto &me = *static_cast<actor *>(arg);
    race(me, me.until);
    delete &me;
    return nullptr;
}

void race_another(actor &me, double until) {
    pthread_t thread;
    auto *second = new actor("second host", me.new_seed());
    second->until = until;
    second->is_host = true;
    HOLDS(pthread_create(&thread, nullptr, be_second_host, second) == 0);
    race(me, until);
    pthread_join(thread, nullptr);
    const pyattach_status status = pyattach_interpreter_stop();
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_NOT_INITIALIZED);
    on_stage().lives += status == PYATTACH_OK;
}

// --- The end

void say_done(const char *how) {
    const stage &all = on_stage();
    auto number = [](const auto &counter) { return static_cast<unsigned long long>(counter); };
    std::printf(
        "\nsoak: done: %d lives, %llu acts, %llu threads, %llu forks, %llu subs, %llu loads, %d parked; %s; %s\n",
        all.lives, number(all.acts), number(all.threads), number(all.forks), number(all.subs_ended), number(all.loads),
        all.parked.load(), ceilings_report().c_str(), how);
    std::fflush(stdout);
}

void check_counts() {
    pyattach_stats all{};
    all.struct_size = sizeof all;
    pyattach_stats_get(&all);
    HOLDS(all.exit_timeouts == 0);
    // Each reference was released, or leaked and counted. Parked threads keep theirs.
    if (on_stage().parked == 0)
        HOLDS(on_stage().objects_made - on_stage().objects_died <= all.drops_leaked);
}

pid_t process;
void stop_at_exit() {
    if (getpid() == process)
        (void)pyattach_interpreter_stop();
}

[[noreturn]] void end_process(actor &me) {
    switch (me.below(7)) {
    case 0: // in good order
        end_life(me);
        wait_for_natives(me);
        me.give_all_back();
        check_counts();
        forbid_forks();
        say_done("in good order");
        std::exit(0);
    case 1:
        end_life(me);
        forbid_forks();
        say_done("exit() after the end, with threads that go on");
        std::exit(0);
    case 2:
        me.note("exit() while Python runs");
        forbid_forks();
        say_done("exit() while Python runs");
        std::exit(0);
    case 3:
        say_done("_exit()");
        _exit(0);
    case 4: // the handlers run on this thread, while all others go on
        process = getpid();
        std::atexit(stop_at_exit);
        prepare_end(me);
        me.note("exit(), whose handler stops Python");
        forbid_forks();
        say_done("exit(), whose handler stops Python");
        std::exit(0);
    case 5:
        me.note("leaves exit() to a native thread");
        say_done("exit() by a native thread, inside");
        on_stage().wants_exit = true;
        for (;;)
            pause();
    default:
        end_life(me);
        wait_for_natives(me);
        say_done("_exit() after the end");
        _exit(0);
    }
}

} // namespace

double seconds_lived() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return double(time.tv_sec - began.tv_sec) + double(time.tv_nsec - began.tv_nsec) * 1e-9;
}

void live(unsigned seconds) {
    clock_gettime(CLOCK_MONOTONIC, &began);
    auto &me = *new actor("host", on_stage().seed);
    me.is_host = true;
    pyattach_set_exit_timeout(30000000000); // a loaded machine is slow
    const bool has_two_hosts = on_stage().has_two_hosts = me.one_in(4) && !is_left_out("two hosts");
    on_stage().has_one_life = !has_two_hosts && me.one_in(4);
    start_natives(me);
    const double until = seconds;
    if (has_two_hosts) {
        race_another(me, until);
    } else if (on_stage().has_one_life) {
        live_once(me, until, true, seconds);
        end_process(me);
    }
    while (seconds_lived() < until) {
        // Some end when they have hardly begun.
        live_once(me, seconds_lived() + me.below(me.one_in(3) ? 5 : 600) * 1e-3, false, seconds);
        end_life(me);
        look_at_ceilings(true, seconds);
        pause_us(me.below(me.one_in(3) ? 1 : 3000));
    }
    live_once(me, until + me.below(100) * 1e-3, true, seconds);
    end_process(me);
}

} // namespace soak
