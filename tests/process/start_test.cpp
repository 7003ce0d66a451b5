// Starting Python: options, races, failures, threads that come too early.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <csignal>
#include <cstdlib>

using namespace support;

namespace {

// Python's prefix, by asking the executable; a host that has no program name needs it.
std::string home() {
    child_result result = run_program({python_executable(), "-c", "import sys; print(sys.base_prefix, end='')"});
    REQUIRE(result.exit_code == 0);
    return result.output;
}

} // namespace

CHILD("started by eight threads at once") {
    load_python();
    barrier together("all threads to be ready", 8);
    run_on_threads(8, "a starting thread to end", [&](int) {
        pyattach_start_options options = start_options();
        together.arrive_and_wait();
        EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
        EXPECT(!cpython_says_attached());
        // Usable at once: `site` has been imported.
        attached here;
        EXPECT(eval_true("'site' in __import__('sys').modules"));
        EXPECT(eval_true("__import__('threading').main_thread() is not None"));
    });
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("eight threads start Python at once, and each may attach when its call returns") {
    check_succeeds("started by eight threads at once");
}

CHILD("started by a thread that ends") {
    open_libpython_on_a_thread_that_stays();
    run_on_thread([] { start_python(); });
    run_on_thread([] {
        attached here;
        EXPECT(eval_int("1") == 1);
    });
    attached here;
    EXPECT(eval_int("2") == 2);
    end_child(); // no thread is left that may stop Python
}
TEST_CASE("Python may be started on a thread that ends, and used on others") {
    check_succeeds("started by a thread that ends");
}

CHILD("started plainly") {
    load_python();
    setenv("PYTHONHOME", child_arguments()[0].c_str(), 1);
    struct sigaction before, after;
    sigaction(SIGINT, nullptr, &before);
    EXPECT(pyattach_interpreter_start() == PYATTACH_OK);
    EXPECT(!cpython_says_attached());
    sigaction(SIGINT, nullptr, &after);
    EXPECT(before.sa_handler == after.sa_handler);
    attached here;
    EXPECT(eval_int("__import__('sys').flags.isolated") == 0);
}
TEST_CASE("a plain start reads the environment, installs no signal handlers and leaves the caller detached") {
    check_succeeds("started plainly", {{home()}});
}

CHILD("started with signal handlers") {
    load_python();
    pyattach_start_options options = start_options();
    options.install_signal_handlers = 1;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    attached here;
    EXPECT(eval_true("__import__('signal').getsignal(2) is __import__('signal').default_int_handler"));
    raise(SIGINT);
    EXPECT(pyattach_check_signals() == PYATTACH_PYTHON_ERROR);
    char text[64] = "";
    pyattach_error_message(text, sizeof text);
    EXPECT(std::string(text).find("KeyboardInterrupt") == 0);
    pyattach_error_clear();
}
TEST_CASE("signal handlers are installed if asked for") { check_succeeds("started with signal handlers"); }

CHILD("started with options") {
    load_python();
    pyattach_start_options options = start_options();
    options.home = child_arguments()[0].c_str();
    options.isolated = 1;
    // PYTHONMALLOC is ignored, so the references that CPython holds lie in arenas of its own.
    unseen_allocations in_arenas;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    attached here;
    EXPECT(eval_text("__import__('sys').executable") == python_executable());
    EXPECT(eval_text("__import__('sys').prefix") == child_arguments()[0]);
    EXPECT(eval_int("__import__('sys').flags.isolated") == 1);
    EXPECT(eval_int("__import__('sys').flags.ignore_environment") == 1);
    EXPECT(eval_int("__import__('sys').flags.no_user_site") == 1);
}
TEST_CASE("the program's name, the home and isolation reach Python") {
    // A home in the environment would be wrong, and is ignored.
    check_succeeds("started with options", {{home()}, {{"PYTHONHOME", "/nowhere"}}});
}

CHILD("started with the options of an older caller") {
    load_python();
    pyattach_start_options options = start_options();
    options.isolated = 1; // beyond what its size says: not looked at
    options.struct_size = offsetof(pyattach_start_options, isolated);
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    attached here;
    EXPECT(eval_int("__import__('sys').flags.isolated") == 0);
}
TEST_CASE("options end where their size says") { check_succeeds("started with the options of an older caller"); }

CHILD("started with a wrong environment, then with the right one") {
    load_python();
    messages said;
    pyattach_start_options options = start_options();
    setenv("PYTHONHASHSEED", "wrong", 1);
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_NOT_INITIALIZED);
    EXPECT(said.text().find("PYTHONHASHSEED") != std::string::npos);
    unsetenv("PYTHONHASHSEED");
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a start that Python refuses at once is a status, and may be tried again") {
    check_succeeds("started with a wrong environment, then with the right one");
}

CHILD("started with a home that is not there, then without") {
    load_python();
    messages said;
    pyattach_start_options options = start_options();
    options.home = "/nowhere";
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_NOT_INITIALIZED);
    EXPECT(said.text().find("home") != std::string::npos);
    options.home = nullptr;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a home that is no directory is refused before Python begins") {
    check_succeeds("started with a home that is not there, then without");
}

CHILD("started with a wrong home") {
    load_python();
    messages said;
    pyattach_start_options options = start_options();
    options.home = "/dev"; // a directory, with no Python in it
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_NOT_INITIALIZED);
    EXPECT(said.text().find("did not start") != std::string::npos);
    // CPython has got half way and keeps it; it is not running for all that.
    auto look = [] {
        EXPECT(pyattach_is_attached() == 0);
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
        EXPECT(pyattach_interpreter_main() == nullptr);
        EXPECT(pyattach_interpreter_current() == nullptr);
    };
    look();
    run_on_thread(look);
    pyattach_status again = pyattach_interpreter_start_with(&options);
    EXPECT_SENTENCE(again == PYATTACH_NOT_INITIALIZED, pyattach_status_message(again));
    look();
    end_child(); // what is half there need not come down well
}
TEST_CASE("after a start that failed half way nothing runs and nobody is attached") {
    check_succeeds("started with a wrong home");
}
