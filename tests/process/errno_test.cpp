// errno is kept by every function of the C ABI, whatever it runs or waits for in between.
#include "errno_rows.hpp"

CHILD("every function keeps errno") {
    start_spoilt();
    auto all = rows();
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
