// Calls: evaluate and run.
#include "support/pending_exception.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"

using namespace support;

namespace {

// The value of `expression` in these namespaces.
ref evaluated(const char *expression, object *globals = nullptr, object *locals = nullptr) {
    object *result = nullptr;
    REQUIRE(pyattach_eval(expression, globals, locals, &result) == PYATTACH_OK);
    return ref(result);
}

} // namespace

TEST_CASE("an expression is evaluated in the namespaces given") {
    start_python();
    attached here;
    CHECK(is_true_of(evaluated("[i * 10 for i in range(5)]"), "it == [0, 10, 20, 30, 40]"));

    ref globals = evaluated("{'x': 1, 'y': 2}"), locals = evaluated("{'y': 40}");
    CHECK(to_int(evaluated("x + y", globals)) == 3);
    CHECK(to_int(evaluated("x + y", globals, locals)) == 41);
    // Names assigned without locals are globals.
    REQUIRE(pyattach_run("z = 5", globals, nullptr) == PYATTACH_OK);
    CHECK(is_true_of(globals, "it['z'] == 5"));
}

TEST_CASE("locals may be any mapping") {
    start_python();
    attached here;
    run("class Mapping:\n"
        "    def __init__(self): self.seen = []\n"
        "    def __getitem__(self, name): return 7 if name == 'asked' else {}[name]\n"
        "    def __setitem__(self, name, value): self.seen.append((name, value))\n");
    ref globals = evaluated("{}"), locals = evaluated("Mapping()");
    REQUIRE(pyattach_run("given = asked + 1", globals, locals) == PYATTACH_OK);
    CHECK(is_true_of(locals, "it.seen == [('given', 8)]"));
    CHECK(is_true_of(globals, "'given' not in it"));
}

TEST_CASE("without globals the code runs in __main__") {
    start_python();
    attached here;
    object *main = nullptr, *found = nullptr;
    REQUIRE(pyattach_import("__main__", &main) == PYATTACH_OK);
    ref module(main);
    REQUIRE(pyattach_run("left_in_main = __name__", nullptr, nullptr) == PYATTACH_OK);
    REQUIRE(pyattach_get_attribute(module, "left_in_main", &found) == PYATTACH_OK);
    CHECK(is_true_of(ref(found), "it == '__main__'"));

    // Also on a failure, no reference to the module stays behind.
    auto before = reference_count(module);
    for (int i = 0; i < 100; ++i) {
        evaluated("1");
        object *result = nullptr;
        REQUIRE(pyattach_eval("nobody_is_called_so", nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
        pyattach_error_clear();
    }
    CHECK(reference_count(module) == before);
}

TEST_CASE("statements run in a given local namespace") {
    start_python();
    attached here;
    ref locals = evaluated("{}");
    REQUIRE(pyattach_run("import base64\n"
                         "s = 'Hello Rust!'\n"
                         "encoded = base64.b64encode(s.encode('utf-8')).decode()\n",
                         nullptr, locals) == PYATTACH_OK);
    CHECK(is_true_of(locals, "it['encoded'] == 'SGVsbG8gUnVzdCE='"));
    CHECK_FALSE(eval_true("'encoded' in globals()"));
}

TEST_CASE("builtins are put into globals that lack them, once") {
    start_python();
    attached here;
    ref globals = evaluated("{}");
    REQUIRE(pyattach_run("class Foo: pass\na = int(3)", globals, globals) == PYATTACH_OK);
    CHECK(is_true_of(globals, "sorted(it) == ['Foo', '__builtins__', 'a'] and it['a'] == 3"));

    // An existing __builtins__ entry is kept, of whatever type.
    REQUIRE(pyattach_run("__builtins__ = {'len': lambda of: 'mine'}", globals, nullptr) == PYATTACH_OK);
    CHECK(is_true_of(evaluated("len('abc')", globals), "it == 'mine'"));
    CHECK(is_true_of(globals, "list(it['__builtins__']) == ['len']"));
}

TEST_CASE("builtins are put in below Python code too") {
    start_python();
    attached here;
    pyattach_status status = PYATTACH_INVALID;
    ref globals = evaluated("{}"), caller_globals = evaluated("{}");
    ref native = native_function([&] { status = pyattach_run("import sys\na = int(3)", globals, nullptr); });
    ref locals = evaluated("{}");
    publish("native", native);
    run("def caller(): return native()\ncaller()");
    CHECK(status == PYATTACH_OK);
    CHECK(is_true_of(globals, "it['a'] == 3 and '__builtins__' in it"));
    run("del native, caller");
}

TEST_CASE("globals that are no dict are a TypeError") {
    start_python();
    attached here;
    run("import collections\n"
        "class Pretender(collections.UserDict):\n"
        "    __class__ = dict\n"
        "class Heir(dict): pass\n");
    for (const char *no_dict : {"[]", "collections.UserDict()", "Pretender()", "None"}) {
        ref globals = evaluated(no_dict);
        object *result = globals;
        CHECK(pyattach_eval("1", globals, nullptr, &result) == PYATTACH_PYTHON_ERROR);
        CHECK(result == nullptr);
        CHECK_THAT(take_error(), Catch::Matchers::StartsWith("TypeError: expected dict, "));
        CHECK(pyattach_run("a = 1", globals, nullptr) == PYATTACH_PYTHON_ERROR);
        CHECK(take_error_type() == "TypeError");
    }
    ref heir = evaluated("Heir(a=1)");
    CHECK(to_int(evaluated("a", heir)) == 1);
}

TEST_CASE("code is UTF-8 whatever its coding line says") {
    start_python();
    attached here;
    CHECK(is_true_of(evaluated("# coding: latin-1\n'\xC3\xA9'"), "it == chr(0xE9)"));
    REQUIRE(pyattach_run("# -*- coding: ascii -*-\n\xC3\xA9t\xC3\xA9 = '\xF0\x9F\x98\x80'", nullptr, nullptr) ==
            PYATTACH_OK);
    CHECK(eval_true("globals()[chr(0xE9) + 't' + chr(0xE9)] == chr(0x1F600)"));
    // A byte order mark, as files have it, is no part of the code.
    CHECK(to_int(evaluated("\xEF\xBB\xBF"
                           "40 + 2")) == 42);
}

TEST_CASE("code that cannot be compiled is an exception") {
    start_python();
    attached here;
    for (const char *code : {"1 +", "'\xFF'", "\xC3", "x = 1", "(", "  1", "\xEF\xBB"}) {
        INFO(code);
        object *result = nullptr;
        CHECK(pyattach_eval(code, nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
        CHECK(result == nullptr);
        // Text that is not UTF-8 is reported as one or the other, depending on the version.
        CHECK_THAT(take_error_type(), Catch::Matchers::Equals("SyntaxError") ||
                                          Catch::Matchers::Equals("IndentationError") ||
                                          Catch::Matchers::Equals("UnicodeDecodeError"));
    }
    CHECK(pyattach_run("if", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    CHECK_THAT(take_error(),
               Catch::Matchers::StartsWith("SyntaxError: ") && Catch::Matchers::EndsWith("(<string>, line 1)"));
    CHECK(pyattach_run("", nullptr, nullptr) == PYATTACH_OK);
}

TEST_CASE("an exception the code raises is left pending") {
    start_python();
    attached here;
    object *result = nullptr;
    CHECK(pyattach_eval("1 // 0", nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
    CHECK_THAT(take_error(), Catch::Matchers::StartsWith("ZeroDivisionError: "));
    CHECK(pyattach_run("raise ValueError('no')", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error() == "ValueError: no");
}

TEST_CASE("the code compiled does not outlive its evaluation") {
    start_python();
    attached here;
    run("import sys, gc, weakref\n"
        "here = lambda: weakref.ref(sys._getframe(1).f_code)\n"
        "of_cpython = eval('here()')\n"
        "gc.collect()");
    publish("of_eval", evaluated("here()"));
    REQUIRE(pyattach_run("of_run = here()", nullptr, nullptr) == PYATTACH_OK);
    REQUIRE(pyattach_run("of_failure = here()\nraise KeyError", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    pyattach_error_clear();
    run("gc.collect()");
    // Free-threaded CPython 3.13 makes all code immortal once a second thread was started.
    bool is_kept_by_cpython = eval_true("of_cpython() is not None");
    for (const char *name : {"of_eval", "of_run", "of_failure"}) {
        INFO(name);
        CHECK(eval_true(std::string(name) + "() is not None") == is_kept_by_cpython);
    }
    CHECK((is_free_threaded() || !is_kept_by_cpython));
}

TEST_CASE("statements leave nothing behind but what they did") {
    start_python();
    attached here;
    ref none = evaluated("None");
    auto before = reference_count(none);
    for (int i = 0; i < 1000; ++i)
        REQUIRE(pyattach_run("pass", nullptr, nullptr) == PYATTACH_OK);
    // Other code may take references to None meanwhile, but not a thousand.
    CHECK(reference_count(none) < before + 100);
}
