// The C++ API: functions that Python calls, and exceptions that cross the ABI boundary.
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::check_succeeds;
using support::latch;
using support::start_python;
using support::task;

namespace {

template <class Function> std::string raised_by(token py, Function function) {
    struct _object *result = callback([&](token) -> struct _object * {
        function();
        return nullptr;
    });
    CHECK(result == nullptr);
    python_error raised{py};
    return raised.what();
}

// PyMethodDef
struct method {
    const char *name;
    struct _object *(*call)(struct _object *self, struct _object *arguments);
    int flags; // 4: METH_NOARGS
    const char *documentation;
};

struct _object *call_thrower(struct _object *, struct _object *) {
    return callback([](token py) { return py.call(py.eval("thrower")); });
}

method call_thrower_method = {"call_thrower", call_thrower, 4, nullptr};

} // namespace

TEST_CASE("a callback returns to Python what its function returns") {
    start_python();
    attached here;
    token py = here.token();
    owned five = owned::steal(py, callback([](token inner) { return inner.from(5); }));
    CHECK(py.to<int>(five) == 5);
    struct _object *same = callback([&](token) { return five.copy(py).release(); });
    CHECK(same == five.get());
    py.xdecref(same);
    owned none = owned::steal(py, callback([](token) {}));
    CHECK(none.get() == py.None().get());
    CHECK(callback([](token) { return 7; }) == 7);
    CHECK(callback([](token) -> long { return -3; }) == -3);
    CHECK(pyattach_attach_depth() == 1);
    CHECK(callback([](token) { return pyattach_attach_depth(); }) == 2);
}

TEST_CASE("an exception in a callback becomes a Python exception of its kind") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(raised_by(py, [] { throw std::runtime_error("plain"); }) == "RuntimeError: plain");
    CHECK(raised_by(py, [] { throw std::out_of_range("too far"); }) == "IndexError: too far");
    CHECK(raised_by(py, [] { throw std::invalid_argument("wrong"); }) == "ValueError: wrong");
    CHECK(raised_by(py, [] { throw std::domain_error("outside"); }) == "ValueError: outside");
    CHECK(raised_by(py, [] { throw std::overflow_error("too much"); }) == "OverflowError: too much");
    CHECK(raised_by(py, [] { throw std::bad_alloc(); }) == std::string("MemoryError: ") + std::bad_alloc().what());
    CHECK(raised_by(py, [] { throw error(PYATTACH_TIMED_OUT); }) ==
          std::string("RuntimeError: ") + pyattach_status_message(PYATTACH_TIMED_OUT));
    CHECK(raised_by(py, [] { throw 5; }) == "RuntimeError: a C++ exception that is no std::exception");
    CHECK(raised_by(py, [&] { py.checked_cast(py.from(1), py.builtin("str")); }) ==
          "TypeError: 'int' object cannot be cast to 'str'");
    CHECK(raised_by(py, [] { throw std::runtime_error("caf\xe9"); }) == "RuntimeError: caf\xef\xbf\xbd");
    CHECK(callback([](token) -> int { throw std::runtime_error("in a slot"); }) == -1);
    CHECK_THROWS_WITH(throw_if_raised(py), "RuntimeError: in a slot");
    CHECK(callback([](token) { throw std::runtime_error("of nothing"); }) == nullptr);
    CHECK_THROWS_WITH(throw_if_raised(py), "RuntimeError: of nothing");
}

TEST_CASE("a Python exception passes through C++ and back as the same object") {
    start_python();
    attached here;
    token py = here.token();
    auto *method_new =
        support::cpython<struct _object *(method *, struct _object *, struct _object *)>("PyCFunction_NewEx");
    py.run("original = KeyError('there and back')\ndef thrower(): raise original");
    CHECK(raised_by(py, [&] { py.call(py.eval("thrower")); }) == "KeyError: 'there and back'");
    // The same with Python's own frames between: C++, Python, C++, Python.
    support::publish("call_thrower", owned::steal(py, method_new(&call_thrower_method, nullptr, nullptr)).get());
    CHECK_THROWS_WITH(py.run("try:\n    call_thrower()\nexcept KeyError as caught:\n"
                             "    assert caught is original\n    raise"),
                      "KeyError: 'there and back'");
    try {
        py.call(py.eval("thrower"));
    } catch (const python_error &caught) {
        CHECK(caught.get() == py.eval("original").get());
        caught.restore(py);
    }
    CHECK(raised_by(py, [&] { throw_if_raised(py); }) == "KeyError: 'there and back'");
}

TEST_CASE("raise_caught replaces what is pending") {
    start_python();
    attached here;
    token py = here.token();
    REQUIRE(py.run(std::nothrow, "1/0") == PYATTACH_PYTHON_ERROR);
    try {
        throw std::runtime_error("newer");
    } catch (...) {
        raise_caught(py);
    }
    CHECK_THROWS_WITH(throw_if_raised(py), "RuntimeError: newer");
    CHECK(pyattach_error_message(nullptr, 0) == 0);
}

CHILD("comes back to a callback after the end of Python") {
    start_python();
    latch in_gap("the thread to detach"), ended("Python to end");
    bool returned = false;
    auto *late = new task("a thread in a callback", [&] {
        attached here;
        callback([&](token py) {
            detached gap{py};
            in_gap.count_down();
            ended.wait();
            detail::throw_unless_ok(gap.resume());
        });
        returned = true;
    });
    in_gap.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    late->wait_until_asleep();
    EXPECT(!returned);
    support::end_child();
}

TEST_CASE("a callback whose interpreter was finalized inside it never returns into Python") {
    check_succeeds("comes back to a callback after the end of Python");
}
