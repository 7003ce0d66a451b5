// Which Python and which interpreter. What ends an interpreter is in tests/process.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstring>
#include <set>

using namespace support;

TEST_CASE("the Python in use is described: version, build and file") {
    start_python();
    pyattach_python python{};
    python.struct_size = sizeof python;
    REQUIRE(pyattach_python_describe(&python) == PYATTACH_OK);
    attached here;
    CHECK(python.version_hex == static_cast<unsigned>(eval_int("__import__('sys').hexversion")));
    CHECK(python.debug == static_cast<int>(eval_true("hasattr(__import__('sys'), 'gettotalrefcount')")));
    CHECK(python.free_threaded ==
          static_cast<int>(eval_true("__import__('sysconfig').get_config_var('Py_GIL_DISABLED')")));
    publish("path", eval("'" + std::string(python.path) + "'"));
    publish("expected", eval("'" + libpython() + "'"));
    CHECK(eval_true("__import__('os').path.samefile(path, expected)"));
    run("del path, expected");
}

TEST_CASE("a description fills as much as the caller knows, and no more") {
    start_python();
    pyattach_python python;
    std::memset(&python, 0x55, sizeof python);
    python.struct_size = offsetof(pyattach_python, debug);
    REQUIRE(pyattach_python_describe(&python) == PYATTACH_OK);
    CHECK(python.version_hex >= 0x03090000);
    CHECK(python.debug == 0x55555555);
    struct {
        pyattach_python known;
        char later[16];
    } newer;
    std::memset(&newer, 0x55, sizeof newer);
    newer.known.struct_size = sizeof newer;
    REQUIRE(pyattach_python_describe(&newer.known) == PYATTACH_OK);
    CHECK(newer.known.version_hex == python.version_hex);
    CHECK(newer.known.path != nullptr);
    CHECK(pyattach_python_describe(nullptr) == PYATTACH_INVALID);
    python.struct_size = 0;
    CHECK(pyattach_python_describe(&python) == PYATTACH_INVALID);
}

TEST_CASE("naming the Python that is in use is fine, naming another is refused") {
    start_python();
    CHECK(pyattach_python_load(libpython().c_str()) == PYATTACH_OK);
    CHECK(pyattach_python_load(nullptr) == PYATTACH_OK);
    messages said;
    CHECK(pyattach_python_load("/nowhere/libpython3.12.so") != PYATTACH_OK);
    CHECK(said.text() != "");
    attached here;
    CHECK(eval_int("1") == 1);
}

TEST_CASE("the main interpreter has one handle, on every thread, attached or not") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    REQUIRE(main);
    CHECK(pyattach_interpreter_main() == main);
    CHECK(pyattach_attach_depth() == 0); // asking left nothing attached
    CHECK_FALSE(cpython_says_attached());
    run_on_thread([&] {
        CHECK(pyattach_interpreter_main() == main);
        CHECK_FALSE(cpython_says_attached());
        attached here;
        CHECK(pyattach_interpreter_main() == main);
        CHECK(pyattach_interpreter_current() == main);
        CHECK(pyattach_attach_depth() == 1);
        detached gap;
        CHECK(pyattach_interpreter_main() == main);
        CHECK(pyattach_interpreter_current() == nullptr);
    });
    CHECK(pyattach_interpreter_current() == nullptr);
}

TEST_CASE("starting again is OK and leaves the caller as it was") {
    start_python();
    CHECK(pyattach_interpreter_start() == PYATTACH_OK);
    CHECK_FALSE(cpython_says_attached());
    CHECK(pyattach_interpreter_start_with(nullptr) == PYATTACH_OK);
    pyattach_start_options options{};
    CHECK(pyattach_interpreter_start_with(&options) == PYATTACH_INVALID); // struct_size is zero
    run_on_thread([] { CHECK(pyattach_interpreter_start() == PYATTACH_OK); });
    attached here;
    CHECK(pyattach_interpreter_start() == PYATTACH_OK);
    CHECK(cpython_says_attached());
}

TEST_CASE("an interpreter is not stopped from another thread, nor inside a detached or a forbidden scope") {
    start_python();
    CHECK(run_on_thread([] { return pyattach_interpreter_stop(); }) == PYATTACH_INVALID);
    CHECK(run_on_thread([] {
              attached here;
              return pyattach_interpreter_stop();
          }) == PYATTACH_INVALID);
    attached here;
    {
        detached gap;
        CHECK(pyattach_interpreter_stop() == PYATTACH_INVALID);
        {
            attached again;
            CHECK(pyattach_interpreter_stop() == PYATTACH_INVALID);
        }
    }
    {
        forbidden traverse;
        CHECK(pyattach_interpreter_stop() == PYATTACH_FORBIDDEN);
    }
    CHECK(eval_int("1") == 1);
}

TEST_CASE("an exit callback is taken back once per registration, and NULL is refused") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    auto call = [](pyattach_interpreter *, void *) { std::abort(); };
    int argument = 0;
    REQUIRE(pyattach_exit_callback_add(main, call, &argument) == PYATTACH_OK);
    REQUIRE(pyattach_exit_callback_add(main, call, &argument) == PYATTACH_OK);
    CHECK(pyattach_exit_callback_remove(main, call, nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_exit_callback_remove(main, call, &argument) == PYATTACH_OK);
    CHECK(pyattach_exit_callback_remove(main, call, &argument) == PYATTACH_OK);
    CHECK(pyattach_exit_callback_remove(main, call, &argument) == PYATTACH_INVALID);
    CHECK(pyattach_exit_callback_add(nullptr, call, nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_exit_callback_add(main, nullptr, nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_exit_callback_remove(nullptr, call, nullptr) == PYATTACH_INVALID);
}

TEST_CASE("every status has a sentence of its own, and a number that is none has one too") {
    std::set<std::string> sentences;
    for (int status = PYATTACH_OK; status <= PYATTACH_INVALID; ++status) {
        const char *sentence = pyattach_status_message(static_cast<pyattach_status>(status));
        REQUIRE(sentence);
        CHECK(std::strlen(sentence) > 1);
        sentences.insert(sentence);
    }
    CHECK(sentences.size() == PYATTACH_INVALID + 1);
    // In C an enum may hold any int.
    auto *message = reinterpret_cast<const char *(*)(int)>(&pyattach_status_message);
    for (int status : {-1, PYATTACH_INVALID + 1, 1000}) {
        const char *sentence = message(status);
        REQUIRE(sentence);
        CHECK(sentences.count(sentence) == 0);
    }
}

TEST_CASE("the library says the version of its headers") { CHECK(pyattach_version() == PYATTACH_VERSION); }

TEST_CASE("a sub-interpreter has a handle of its own and gets its own references back") {
    start_python();
    attached here;
    void *main_state = current_tstate();
    pyattach_interpreter *main = pyattach_interpreter_main();
    auto *new_interpreter = cpython<void *()>("Py_NewInterpreter");
    auto *end_interpreter = cpython<void(void *)>("Py_EndInterpreter");
    auto *swap = cpython<void *(void *)>("PyThreadState_Swap");
    void *sub = new_interpreter();
    REQUIRE(sub);
    if (python_version() >= 0x030c0000) { // up to 3.11 the library cannot see the foreign switch
        pyattach_interpreter *handle = pyattach_interpreter_current();
        REQUIRE(handle);
        CHECK(handle != main);
        CHECK(pyattach_interpreter_main() == main);
        ref object = new_object();
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        // Two interpreters: a drop meant for the other one waits, and is not applied here.
        size_t waiting = pyattach_pool_size();
        swap(main_state);
        pyattach_decref_in(handle, object);
        swap(sub);
        CHECK(pyattach_pool_size() == waiting + 1);
        CHECK(pyattach_pool_drain() == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
        CHECK(reference_count(object) == 1);
        object.drop();
        end_interpreter(sub);
        swap(main_state);
        pyattach_attached scope;
        CHECK(pyattach_attached_begin_in(&scope, handle) == PYATTACH_FINALIZING);
        CHECK(pyattach_exit_callback_add(
                  handle, [](pyattach_interpreter *, void *) {}, nullptr) == PYATTACH_FINALIZING);
    } else {
        end_interpreter(sub);
        swap(main_state);
    }
    CHECK(pyattach_interpreter_current() == main);
}
