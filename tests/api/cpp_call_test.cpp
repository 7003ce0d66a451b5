// The C++ API: what a token can do with Python.
#include <csignal>
#include <string>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::reference_count;
using support::run_on_thread;
using support::start_python;

namespace {

// A value whose Python object is a known one.
struct counted {
    struct _object *object;
};

} // namespace

template <> struct pyattach::conversion<counted> {
    static pyattach_status to_python(token py, const counted &value, struct _object **result) {
        *result = owned::borrow(py, value.object).release();
        return PYATTACH_OK;
    }
};

namespace {

bool is_pending() { return pyattach_error_message(nullptr, 0) != 0; }

std::string pending() {
    char text[200] = "";
    pyattach_error_message(text, sizeof text);
    pyattach_error_clear();
    return text;
}

} // namespace

TEST_CASE("eval gives the value of an expression") {
    start_python();
    attached here;
    token py = here.token();
    owned list = py.eval("[i * 10 for i in range(5)]");
    CHECK(py.to<std::string>(py.str(list)) == "[0, 10, 20, 30, 40]");
    CHECK(py.to<int>(py.eval(std::string("2 + 3"))) == 5);
    CHECK_THROWS_WITH(py.eval("1 +"), Catch::Matchers::StartsWith("SyntaxError: "));
    CHECK_THROWS_WITH(py.eval("no_such_name"), "NameError: name 'no_such_name' is not defined");
    CHECK_FALSE(is_pending());
}

TEST_CASE("eval and run use the namespaces they are given") {
    start_python();
    attached here;
    token py = here.token();
    owned globals = py.eval("{'a': 1}"), locals = py.eval("{'b': 2}");
    CHECK(py.to<int>(py.eval("a + b", globals, locals)) == 3);
    CHECK(py.to<int>(py.eval("a", borrowed{py, globals})) == 1);
    CHECK(py.to<bool>(py.eval("'__builtins__' in globals()", globals)));
    py.run("c = a + b\nd = len('four')", globals, locals.get());
    CHECK(py.to<int>(py.eval("c", globals, locals)) == 3);
    CHECK_THROWS_AS(py.eval("c"), python_error);
    py.run("in_main = 7");
    CHECK(py.to<int>(py.get_attribute(py.import("__main__"), "in_main")) == 7);
    CHECK_THROWS_WITH(py.eval("1", py.eval("[]")), Catch::Matchers::StartsWith("TypeError: "));
}

TEST_CASE("run executes statements in a given local namespace") {
    start_python();
    attached here;
    token py = here.token();
    owned locals = py.eval("{}");
    py.run("import base64\ns = 'Hello Rust!'\nret = base64.b64encode(s.encode('utf-8'))", nullptr, locals);
    owned encoded = py.call_method(locals, "__getitem__", "ret");
    CHECK(py.to_bytes(encoded) == "SGVsbG8gUnVzdCE=");
    CHECK_THROWS_WITH(py.run("raise RuntimeError('from run')"), "RuntimeError: from run");
}

TEST_CASE("a NUL inside a text is a ValueError, not a shorter text") {
    start_python();
    attached here;
    token py = here.token();
    const std::string code("1\0 + 1", 6), name("sys\0tem", 7);
    CHECK_THROWS_WITH(py.eval(code), "ValueError: embedded null character");
    CHECK_THROWS_WITH(py.run(code), "ValueError: embedded null character");
    CHECK_THROWS_WITH(py.import(name), "ValueError: embedded null character");
    CHECK_THROWS_WITH(py.builtin(name), "ValueError: embedded null character");
    owned object = py.eval("type('Open', (), {})()");
    CHECK_THROWS_WITH(py.get_attribute(object, name), "ValueError: embedded null character");
    CHECK_THROWS_WITH(py.set_attribute(object, name, 1), "ValueError: embedded null character");
    CHECK_FALSE(py.eval(std::nothrow, code));
    CHECK(pending() == "ValueError: embedded null character");
}

TEST_CASE("import gives the module named, not its parent") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(py.to<std::string>(py.get_attribute(py.import("os.path"), "__name__")) == "posixpath");
    CHECK(py.to<std::string>(py.get_attribute(py.import("xml.dom"), "__name__")) == "xml.dom");
    CHECK_THROWS_WITH(py.import("no_such_module"), "ModuleNotFoundError: No module named 'no_such_module'");
}

TEST_CASE("None, NotImplemented and Ellipsis are the singletons, and builtin finds the rest") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(py.None().get() == py.eval("None").get());
    CHECK(py.NotImplemented().get() == py.eval("NotImplemented").get());
    CHECK(py.Ellipsis().get() == py.eval("...").get());
    CHECK(py.builtin("ValueError").get() == py.eval("ValueError").get());
    CHECK_THROWS_AS(py.builtin("no_such_builtin"), python_error);
}

TEST_CASE("attributes are read, set to objects and to C++ values, and deleted") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("type('Open', (), {})()"), value = py.eval("object()");
    py.set_attribute(object, "plain", 5);
    py.set_attribute(object, "text", "five");
    py.set_attribute(object, "object", value);
    CHECK(py.to<int>(py.get_attribute(object, "plain")) == 5);
    CHECK(py.to<std::string>(py.get_attribute(object, std::string("text"))) == "five");
    CHECK(py.get_attribute(object, "object").get() == value.get());
    CHECK(reference_count(value.get()) == 2);
    py.set_attribute(object, "object", nullptr);
    CHECK(reference_count(value.get()) == 1);
    CHECK_THROWS_WITH(py.get_attribute(object, "object"), Catch::Matchers::StartsWith("AttributeError: "));
    CHECK_THROWS_WITH(py.set_attribute(py.eval("1"), "x", 1), Catch::Matchers::StartsWith("AttributeError: "));
}

TEST_CASE("calls take objects in any form and C++ values") {
    start_python();
    attached here;
    token py = here.token();
    owned together = py.eval("lambda *all: all");
    owned list = py.eval("[1]");
    std::string text = "two";
    owned all = py.call(together, list, borrowed{py, list}, list.get(), text, "three", 4, 5.5, true, 6u);
    CHECK(py.to<std::string>(py.repr(all)) == "([1], [1], [1], 'two', 'three', 4, 5.5, True, 6)");
    CHECK(py.to<std::string>(py.repr(py.call(together))) == "()");
    all.reset();
    CHECK(reference_count(list.get()) == 1);
    CHECK(py.to<int>(py.call(py.builtin("len"), "four")) == 4);
    CHECK(py.to<std::string>(py.call_method(py.from("a-b"), "replace", "-", "+")) == "a+b");
    CHECK_THROWS_WITH(py.call(py.builtin("int"), "x"), "ValueError: invalid literal for int() with base 10: 'x'");
    CHECK_THROWS_AS(py.call_method(list, "no_such_method"), python_error);
}

TEST_CASE("an argument that cannot be converted fails the call, which does not take place") {
    start_python();
    attached here;
    token py = here.token();
    owned calls = py.eval("[]");
    owned note = py.get_attribute(calls, "append");
    CHECK_THROWS_WITH(py.call(note, std::string("\xff")), Catch::Matchers::StartsWith("UnicodeDecodeError: "));
    try {
        py.call(note, nullptr);
        FAIL("called with NULL");
    } catch (const error &why) {
        CHECK(why.status() == PYATTACH_INVALID);
    }
    CHECK(py.to<int>(py.call(py.builtin("len"), calls)) == 0);
}

TEST_CASE("objects made for arguments are released after the call, whatever became of it") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()"), target = py.eval("type('Open', (), {})()");
    counted value{object.get()};
    py.call(py.builtin("id"), value);
    CHECK_THROWS_AS(py.call(py.builtin("id"), value, value), python_error);
    CHECK_THROWS_AS(py.call(py.builtin("id"), value, std::string("\xff")), python_error);
    py.call_method(py.eval("[]"), "append", value);
    CHECK_THROWS_AS(py.set_attribute(py.eval("1"), "x", value), python_error);
    CHECK(reference_count(object.get()) == 1);
    py.set_attribute(target, "x", value);
    CHECK(reference_count(object.get()) == 2);
    CHECK(py.from(value).get() == object.get());
    CHECK(reference_count(object.get()) == 2);
}

TEST_CASE("str and repr are Python objects") {
    start_python();
    attached here;
    token py = here.token();
    owned text = py.from("it's");
    CHECK(py.to<std::string>(py.str(text)) == "it's");
    CHECK(py.to<std::string>(py.repr(text)) == "\"it's\"");
    owned broken = py.eval("type('Broken', (), {'__str__': lambda self: 1/0, '__repr__': lambda self: 1/0})()");
    CHECK_THROWS_WITH(py.str(broken), "ZeroDivisionError: division by zero");
    CHECK_THROWS_WITH(py.repr(broken), "ZeroDivisionError: division by zero");
}

TEST_CASE("check_signals runs a pending handler and throws what it raised, on the main thread only") {
    start_python();
    attached here;
    token py = here.token();
    py.run("import signal\n"
           "def handler(number, frame): raise InterruptedError(number)\n"
           "before = signal.signal(signal.SIGUSR1, handler)");
    py.check_signals();
    std::raise(SIGUSR1);
    {
        detached gap{py};
        run_on_thread([] {
            attached there;
            there.token().check_signals();
            CHECK(there.token().check_signals(std::nothrow) == PYATTACH_OK);
        });
    }
    CHECK_THROWS_WITH(py.check_signals(), "InterruptedError: " + std::to_string(SIGUSR1));
    py.run("signal.signal(signal.SIGUSR1, before)");
}

TEST_CASE("the forms told not to throw give something empty, and leave the exception pending") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.from(1);
    CHECK(py.to<int>(std::nothrow, py.eval(std::nothrow, "1 + 1")) == 2);
    CHECK_FALSE(py.eval(std::nothrow, "1/0"));
    CHECK(pending() == "ZeroDivisionError: division by zero");
    CHECK(py.run(std::nothrow, "pass") == PYATTACH_OK);
    CHECK(py.run(std::nothrow, "1/0") == PYATTACH_PYTHON_ERROR);
    CHECK(pending() == "ZeroDivisionError: division by zero");
    CHECK(py.import(std::nothrow, "sys"));
    CHECK_FALSE(py.import(std::nothrow, "no_such_module"));
    CHECK(pending() == "ModuleNotFoundError: No module named 'no_such_module'");
    CHECK(py.builtin(std::nothrow, "len"));
    CHECK_FALSE(py.builtin(std::nothrow, "no_such_builtin"));
    CHECK(pending().find("AttributeError: ") == 0);
    CHECK_FALSE(py.get_attribute(std::nothrow, reference, "no_such"));
    CHECK(pending().find("AttributeError: ") == 0);
    CHECK(py.set_attribute(std::nothrow, reference, "no_such", 1) == PYATTACH_PYTHON_ERROR);
    CHECK(pending().find("AttributeError: ") == 0);
    CHECK(py.set_attribute(std::nothrow, reference, "no_such", std::string("\xff")) == PYATTACH_PYTHON_ERROR);
    CHECK(pending().find("UnicodeDecodeError: ") == 0);
    CHECK(py.to<int>(py.call(std::nothrow, py.builtin("len"), "four")) == 4);
    CHECK_FALSE(py.call(std::nothrow, reference));
    CHECK(pending().find("TypeError: ") == 0);
    CHECK(py.call_method(std::nothrow, reference, "__index__").get() != nullptr);
    CHECK_FALSE(py.call_method(std::nothrow, reference, "no_such"));
    CHECK(pending().find("AttributeError: ") == 0);
    CHECK(py.str(std::nothrow, reference));
    CHECK(py.repr(std::nothrow, reference));
    CHECK_FALSE(py.str(std::nothrow, nullptr));
    CHECK_FALSE(py.repr(std::nothrow, nullptr));
    CHECK_FALSE(is_pending());
}
