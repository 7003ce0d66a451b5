// The C++ API: exceptions of Python's.
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::check_succeeds;
using support::reference_count;
using support::start_python;

static_assert(std::is_base_of_v<error, python_error> && std::is_base_of_v<std::exception, error>);
static_assert(std::is_nothrow_copy_constructible_v<python_error> && std::is_nothrow_copy_assignable_v<python_error> &&
                  std::is_nothrow_destructible_v<python_error> && std::is_nothrow_constructible_v<python_error, token>,
              "an exception that throws while it is handled ends the process");

namespace {

python_error raised_by(token py, const std::string &statements) {
    try {
        py.run(statements);
    } catch (const python_error &raised) {
        return raised;
    }
    throw support::failure("nothing was raised by " + statements);
}

bool is_pending() { return pyattach_error_message(nullptr, 0) != 0; }

} // namespace

TEST_CASE("an exception of Python's is thrown with its type and message, and nothing stays pending") {
    start_python();
    attached here;
    python_error raised = raised_by(here.token(), "{}['missing']");
    CHECK(std::string(raised.what()) == "KeyError: 'missing'");
    CHECK(raised.status() == PYATTACH_PYTHON_ERROR);
    CHECK_FALSE(is_pending());
}

TEST_CASE("a python_error is an error and a std::exception") {
    start_python();
    attached here;
    CHECK_THROWS_AS(here.token().eval("1/0"), error);
    CHECK_THROWS_WITH(here.token().eval("1/0"), "ZeroDivisionError: division by zero");
}

TEST_CASE("a long message is kept whole, and a strange one too") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(std::string(raised_by(py, "raise ValueError('x' * 5000)").what()) == "ValueError: " + std::string(5000, 'x'));
    // Messages of about the size of the first buffer.
    for (size_t length = 180; length < 195; ++length)
        CHECK(std::string(raised_by(py, "raise ValueError('y' * " + std::to_string(length) + ")").what()) ==
              "ValueError: " + std::string(length, 'y'));
    CHECK(std::string(raised_by(py, "raise KeyboardInterrupt").what()) == "KeyboardInterrupt");
    CHECK(
        std::string(raised_by(py, "class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute").what()) ==
        "Mute");
}

TEST_CASE("copies share the exception, and the last one releases it") {
    start_python();
    attached here;
    token py = here.token();
    py.run("shared_error = ValueError('shared')");
    owned exception = py.eval("shared_error");
    py.run("del shared_error");
    {
        std::optional<python_error> first;
        try {
            pyattach_error_restore(exception.get());
            throw python_error(py);
        } catch (const python_error &caught) {
            first.emplace(caught);
        }
        CHECK(first->get() == exception.get());
        CHECK(reference_count(exception.get()) == 2);
        python_error second = *first, third = raised_by(py, "raise OSError");
        third = second;
        third = *&third;
        CHECK(reference_count(exception.get()) == 2);
        first.reset();
        CHECK(reference_count(exception.get()) == 2);
        CHECK(std::string(third.what()) == "ValueError: shared");
    }
    // Its traceback holds this frame's names on some versions; no other reference to the exception exists.
    CHECK(reference_count(exception.get()) == 1);
}

TEST_CASE("a python_error is copied, read and destroyed on a thread that never attached") {
    start_python();
    std::optional<python_error> kept;
    owned exception;
    {
        attached here;
        token py = here.token();
        exception = py.eval("ValueError('far')");
        pyattach_error_restore(exception.get());
        kept.emplace(py);
    }
    std::string text;
    bool matched = true;
    std::thread([&] {
        python_error copy = *kept;
        kept.reset();
        text = copy.what();
        matched = copy.matches(exception.get());
    }).join();
    CHECK(text == "ValueError: far");
    CHECK_FALSE(matched);
    attached here;
    CHECK(reference_count(exception.get()) == 1);
}

TEST_CASE("a python_error matches types, base types and tuples") {
    start_python();
    attached here;
    token py = here.token();
    python_error raised = raised_by(py, "{}['x']");
    CHECK(raised.matches(py.builtin("KeyError")));
    CHECK(raised.matches(py.builtin("LookupError")));
    CHECK(raised.matches(py.eval("(OSError, LookupError)")));
    CHECK_FALSE(raised.matches(py.builtin("OSError")));
    CHECK_FALSE(raised.matches(nullptr));
}

TEST_CASE("a restored exception is the same object with the same traceback") {
    start_python();
    attached here;
    token py = here.token();
    python_error raised = raised_by(py, "def deep(): raise KeyError('x')\ndeep()");
    support::publish("restored", raised.get());
    raised.restore(py);
    CHECK(is_pending());
    python_error again{py};
    CHECK(again.get() == raised.get());
    CHECK_FALSE(is_pending());
    CHECK(py.to<std::string>(py.eval("restored.__traceback__.tb_next.tb_frame.f_code.co_name")) == "deep");
    py.run("del restored");
}

TEST_CASE("a failure without an exception is a SystemError") {
    start_python();
    attached here;
    token py = here.token();
    REQUIRE_FALSE(is_pending());
    python_error nothing{py};
    CHECK(std::string(nothing.what()) == "SystemError: a call failed without raising an exception");
    CHECK(nothing.get() == nullptr);
    CHECK_FALSE(nothing.matches(py.builtin("SystemError")));
    nothing.restore(py);
    python_error raised{py};
    CHECK(std::string(raised.what()) == nothing.what());
    CHECK(raised.matches(py.builtin("SystemError")));
}

TEST_CASE("throw_if_raised throws the pending exception, and nothing if there is none") {
    start_python();
    attached here;
    token py = here.token();
    throw_if_raised(py);
    REQUIRE(pyattach_run("raise ValueError('from C')", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    CHECK_THROWS_WITH(throw_if_raised(py), "ValueError: from C");
    CHECK_FALSE(is_pending());
}

CHILD("reads and destroys a python_error after the end") {
    start_python();
    std::optional<python_error> kept;
    {
        attached here;
        kept.emplace(raised_by(here.token(), "raise ValueError('from before')"));
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(std::string(kept->what()) == "ValueError: from before");
    kept.reset();
    pyattach_stats stats{};
    stats.struct_size = sizeof stats;
    pyattach_stats_get(&stats);
    EXPECT(stats.drops_leaked >= 1);
}

TEST_CASE("a python_error outlives its interpreter") {
    check_succeeds("reads and destroys a python_error after the end");
}
