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

} // namespace

CHILD("every function keeps errno") {
    start_spoilt();
    auto all = rows();
    add_thread_rows(all);
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
