// errno is kept by every function of the C ABI, whatever it runs or waits for in between.
#include "errno_rows.hpp"

namespace {

void keep_in_attach_of_new_thread() {
    run_on_thread([] {
        pyattach_attached scope;
        EXPECT(keeping("an attach", [&] { return pyattach_attached_begin(&scope); }) == PYATTACH_OK);
        keeping_void("its end", [&] { pyattach_attached_end(&scope); });
    });
}

// What is set here spoils errno in the attaches of new threads.
void add_thread_rows(std::map<std::string, std::function<void()>> &all) {
    all["pyattach_attached_begin_with"] = [] {
        pyattach_attach_options how{};
        how.struct_size = sizeof how;
        how.label = "label";
        const auto begin = [&](pyattach_attached &scope) {
            EXPECT(keeping("begin_with", [&] { return pyattach_attached_begin_with(&scope, &how); }) == PYATTACH_OK);
        };
        pyattach_attached scope, nested;
        begin(scope);
        leave_a_spoiler();
        begin(nested);
        EXPECT(spoilt() == 1);
        keeping_void("the end of nested", [&] { pyattach_attached_end(&nested); });
        keeping_void("the end", [&] { pyattach_attached_end(&scope); });
    };
    all["pyattach_set_thread_hook"] = [] {
        const auto spoil = [](pyattach_thread_event, pyattach_interpreter *, void *) { errno = 1; };
        keeping_void("set_thread_hook", [&] { pyattach_set_thread_hook(spoil, nullptr); });
        keep_in_attach_of_new_thread();
        pyattach_set_thread_hook(nullptr, nullptr);
    };
    all["pyattach_set_thread_names"] = [] {
        keeping_void("set_thread_names", [] { pyattach_set_thread_names(1); });
        keep_in_attach_of_new_thread();
        pyattach_set_thread_names(0);
    };
    all["pyattach_set_housekeeping"] = [] {
        for (pyattach_housekeeping each : {PYATTACH_HOUSEKEEPING_AUTO, PYATTACH_HOUSEKEEPING_OFF})
            keeping_void("set_housekeeping", [&] { pyattach_set_housekeeping(each); });
    };
    all["pyattach_set_release_delay"] = [] {
        keeping_void("set_release_delay", [] { pyattach_set_release_delay(100000000); });
    };
    all["pyattach_thread_prepare"] = [] { run_on_thread([] { keeping("thread_prepare", pyattach_thread_prepare); }); };
}

// A routed ensure and its release, with a gap inside, on a native thread. Each runs code that spoils errno.
void keep_in_routed_calls() {
    {
        attached here;
        run("import sys\nsys.unraisablehook = spoil");
    }
    run_on_thread([] {
        const int handle = keeping("gilstate_ensure", pyattach_gilstate_ensure);
        object *dying = object_with_finalizer(spoils).release();
        void *tstate = keeping("gilstate_save", pyattach_gilstate_save);
        pyattach_decref(dying);
        EXPECT(keeping("gilstate_is_open", [tstate] { return pyattach_gilstate_is_open(tstate); }) == 1);
        keeping_void("gilstate_restore", [&] { pyattach_gilstate_restore(tstate); });
        EXPECT(spoilt() == 1);
        EXPECT(keeping("a nested gilstate_ensure", pyattach_gilstate_ensure) == 0);
        keeping_void("its release", [] { pyattach_gilstate_release(0); });
        EXPECT(pyattach_run("raise ValueError", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
        keeping_void("gilstate_release", [&] { pyattach_gilstate_release(handle); });
    });
    attached here;
    EXPECT(spoilt() == 1);
    run("sys.unraisablehook = sys.__unraisablehook__");
}

// The same with tstates of other code's.
void keep_in_routed_tstates() {
    void *main = cpython<void *()>("PyInterpreterState_Main")();
    run_on_thread([main] {
        EXPECT(keeping("gilstate_is_finalizing", pyattach_gilstate_is_finalizing) == 0);
        void *tstate = keeping("gilstate_new_tstate", [main] { return pyattach_gilstate_new_tstate(main); });
        keeping_void("gilstate_acquire_thread", [&] { pyattach_gilstate_acquire_thread(tstate); });
        keeping_void("gilstate_release_thread", [&] { pyattach_gilstate_release_thread(tstate); });
        pyattach_gilstate_acquire_thread(tstate);
        cpython<void(void *)>("PyThreadState_Clear")(tstate);
        keeping_void("gilstate_delete_current", pyattach_gilstate_delete_current);
    });
    run_on_thread([] { EXPECT(keeping("gilstate_this_tstate", pyattach_gilstate_this_tstate) || is_debug_build()); });
    keeping_void("gilstate_register", pyattach_gilstate_register);
    keeping_void("gilstate_set_refused", [] { pyattach_gilstate_set_refused(PYATTACH_REFUSED_PARK); });
    keeping_void("gilstate_set_refused_handler", [] { pyattach_gilstate_set_refused_handler(nullptr, nullptr); });
}

// A write that fails says why in errno, as its comment says.
void keep_in_trace() {
    EXPECT(keeping("trace_start", [] { return pyattach_trace_start(nullptr); }) == PYATTACH_OK);
    run_on_thread([] { attached here; });
    EXPECT(keeping("trace_stop", pyattach_trace_stop) == PYATTACH_OK);
    for (pyattach_trace_format format : {PYATTACH_TRACE_CHROME, PYATTACH_TRACE_PERFETTO, PYATTACH_TRACE_HTML})
        EXPECT(keeping("trace_write", [=] { return pyattach_trace_write("/dev/null", format); }) == PYATTACH_OK);
    std::FILE *nowhere = std::fopen("/dev/null", "w");
    EXPECT(keeping("trace_write_fd", [nowhere] {
               return pyattach_trace_write_fd(fileno(nowhere), PYATTACH_TRACE_CHROME);
           }) == PYATTACH_OK);
    std::fclose(nowhere);
}

} // namespace

CHILD("every function keeps errno") {
    start_spoilt();
    auto all = rows();
    add_thread_rows(all);
    for (const char *name : {"start", "stop", "write", "write_fd"})
        all["pyattach_trace_" + std::string(name)] = keep_in_trace;
    for (const char *name : {"ensure", "release", "save", "restore", "is_open"})
        all["pyattach_gilstate_" + std::string(name)] = keep_in_routed_calls;
    for (const char *name : {"acquire_thread", "release_thread", "this_tstate", "is_finalizing", "new_tstate",
                             "delete_current", "register", "set_refused", "set_refused_handler"})
        all["pyattach_gilstate_" + std::string(name)] = keep_in_routed_tstates;
    std::ifstream names(TESTS_SYMBOLS);
    std::vector<std::string> listed;
    for (std::string name; std::getline(names, name);)
        listed.push_back(name);
    EXPECT(listed.size() > 70);
    for (const std::string &name : listed)
        EXPECT_SENTENCE(all.count(name) == 1, name + " has no row");
    for (const std::string &name : listed)
        if (name != "pyattach_interpreter_stop")
            all.at(name)();
    {
        attached here;
        run("import atexit\natexit.register(spoil)");
    }
    all.at("pyattach_interpreter_stop")();
}
TEST_CASE("every function of the C ABI keeps errno, except a fork that fails") {
    check_succeeds("every function keeps errno");
}

CHILD("first contact and the end of a thread keep errno") {
    load_python();
    cpython<void(int)>("Py_InitializeEx")(0);
    {
        foreign_detach gap;
        run_on_thread([] {
            pyattach_attached scope;
            EXPECT(keeping("first contact", [&] { return pyattach_attached_begin(&scope); }) == PYATTACH_OK);
            keeping_void("its end", [&] { pyattach_attached_end(&scope); });
        });
        // Threads whose tstates wait until a new tstate is made.
        for (int i = 0; i < 40; ++i)
            run_on_thread([] { attached here; });
        run_on_thread([] {
            pyattach_attached scope;
            EXPECT(keeping("a new thread's attach", [&] { return pyattach_attached_begin(&scope); }) == PYATTACH_OK);
            pyattach_attached_end(&scope);
        });
    }
    cpython<int()>("Py_FinalizeEx")();
    pyattach_attached late;
    EXPECT(keeping("an attach too late", [&] { return pyattach_attached_begin(&late); }) != PYATTACH_OK);
}
TEST_CASE("errno is kept over registration, over a new thread's attach, and over a refused one") {
    check_succeeds("first contact and the end of a thread keep errno");
}
