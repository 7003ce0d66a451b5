// The C++ API: attached scopes and tokens.
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::check_aborts;
using support::check_succeeds;
using support::run_on_thread;
using support::start_python;

static_assert(std::is_empty_v<token> && std::is_trivially_copyable_v<token>, "a token costs nothing");
static_assert(!std::is_default_constructible_v<token> && !std::is_aggregate_v<token>, "a token is proof");
static_assert(!std::is_copy_constructible_v<attached> && !std::is_move_constructible_v<attached> &&
              !std::is_copy_assignable_v<attached> && !std::is_move_assignable_v<attached>);
static_assert(!std::is_convertible_v<attached, bool> && std::is_constructible_v<bool, attached>);
static_assert(noexcept(attached{std::nothrow}) && !noexcept(attached{}));

TEST_CASE("an attached scope attaches its thread for the life of a block") {
    start_python();
    run_on_thread([] {
        CHECK_FALSE(support::cpython_says_attached());
        {
            attached here;
            CHECK(support::cpython_says_attached());
            CHECK(here);
            CHECK(here.status() == PYATTACH_OK);
            CHECK(here.token().to<int>(here.token().eval("5")) == 5);
            attached nested;
            CHECK(pyattach_attach_depth() == 2);
        }
        CHECK_FALSE(support::cpython_says_attached());
        CHECK(pyattach_attach_depth() == 0);
    });
}

TEST_CASE("an exception that leaves an attached scope ends it") {
    start_python();
    CHECK_THROWS_AS(
        [] {
            attached here;
            throw std::runtime_error("on the way");
        }(),
        std::runtime_error);
    CHECK_FALSE(pyattach_is_attached());
}

TEST_CASE("a refused scope throws its status, or has it when told not to throw") {
    start_python();
    forbidden traversing;
    attached refused{std::nothrow};
    CHECK_FALSE(refused);
    CHECK(refused.status() == PYATTACH_FORBIDDEN);
    CHECK_FALSE(attached(std::nothrow, unchecked));
    CHECK_FALSE(attached::assume(std::nothrow));
    try {
        attached here;
        FAIL("attached while forbidden");
    } catch (const error &why) {
        CHECK(why.status() == PYATTACH_FORBIDDEN);
        CHECK(std::string(why.what()) == pyattach_status_message(PYATTACH_FORBIDDEN));
    }
    CHECK_THROWS_AS(attached(unchecked), error);
    CHECK_THROWS_AS(attached::assume(), error);
    CHECK_THROWS_AS(attached(static_cast<pyattach_interpreter *>(nullptr)), std::exception);
}

TEST_CASE("an attached scope takes no_drain, a label and options") {
    start_python();
    attached outer;
    owned first = outer.token().eval("object()"), second = outer.token().eval("object()");
    {
        detached gap{outer.token()};
        first = owned(); // into the pool
        attached here{no_drain};
        CHECK(here);
        CHECK(pyattach_pool_size() == 1);
        attached labelled{no_drain, "label"};
        attached nothrow{std::nothrow, no_drain};
        attached both{std::nothrow, no_drain, "label"};
        CHECK((labelled && nothrow && both));
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(pyattach_pool_size() == 0);
    {
        detached gap{outer.token()};
        second = owned();
        attached labelled{"label"}; // drains
        CHECK(pyattach_pool_size() == 0);
        attached nothrow{std::nothrow, "label"};
        const pyattach_attach_options options = {sizeof options, pyattach_interpreter_main(), 1, "label"};
        attached with{options}, with_nothrow{std::nothrow, options};
        CHECK((labelled && nothrow && with && with_nothrow));
    }
    forbidden traversing;
    CHECK_THROWS_AS(attached(no_drain), error);
    CHECK_THROWS_AS(attached("label"), error);
    CHECK_THROWS_AS(attached(pyattach_attach_options{}), error);
    CHECK(attached(std::nothrow, no_drain).status() == PYATTACH_FORBIDDEN);
    CHECK(attached(std::nothrow, "label").status() == PYATTACH_FORBIDDEN);
    CHECK(attached(std::nothrow, pyattach_attach_options{}).status() == PYATTACH_INVALID);
}

TEST_CASE("a scope ended by hand is over, and its destructor does nothing") {
    start_python();
    attached here;
    here.end();
    CHECK_FALSE(here);
    CHECK_FALSE(pyattach_is_attached());
    here.end();
    CHECK_FALSE(pyattach_is_attached());
}

TEST_CASE("attaching in a named interpreter, and unchecked") {
    start_python();
    interpreter main = interpreter::main(), none;
    CHECK(main);
    CHECK_FALSE(none);
    CHECK_FALSE(interpreter::current());
    {
        attached here{main};
        CHECK(interpreter::current() == main);
        CHECK(interpreter::current() != none);
        CHECK(here.token().interpreter() == main);
        attached quietly{std::nothrow, main};
        CHECK(quietly);
        attached raw{pyattach_interpreter_main()};
    }
    {
        attached here{unchecked};
        CHECK(pyattach_is_attached());
    }
    CHECK_FALSE(pyattach_is_attached());
    CHECK_THROWS_AS(attached(none), error);
}

TEST_CASE("assumed scopes count, and may be made by a function") {
    start_python();
    attached here;
    {
        auto inner = attached::assume();
        CHECK(inner);
        CHECK(pyattach_attach_depth() == 2);
        attached quietly = attached::assume(std::nothrow);
        CHECK(pyattach_attach_depth() == 3);
        token py = token::assume();
        CHECK(py.to<int>(py.eval("6")) == 6);
    }
    CHECK(pyattach_attach_depth() == 1);
}

TEST_CASE("with_attached calls a function with a token and returns what it returns") {
    start_python();
    CHECK(with_attached([](token py) { return py.to<int>(py.eval("5")); }) == 5);
    CHECK_FALSE(pyattach_is_attached());
    int kept = 0;
    int &returned = with_attached([&](token) -> int & { return kept; });
    CHECK(&returned == &kept);
    CHECK_THROWS_AS(with_attached([](token) { throw std::runtime_error("inside"); }), std::runtime_error);
    CHECK_FALSE(pyattach_is_attached());

    bool called = false;
    CHECK(with_attached(std::nothrow, [&](token) { called = true; }) == PYATTACH_OK);
    CHECK(called);
    forbidden traversing;
    called = false;
    CHECK(with_attached(std::nothrow, [&](token) { called = true; }) == PYATTACH_FORBIDDEN);
    CHECK_THROWS_AS(with_attached([&](token) { called = true; }), error);
    CHECK_FALSE(called);
}

CHILD("ends the scope that attached before a C++ scope inside it") {
    start_python();
    std::optional<attached> outer;
    outer.emplace();
    attached inner;
    outer.reset();
}

TEST_CASE("ending the scope that attached before those inside it aborts with a sentence") {
    check_aborts("ends the scope that attached before a C++ scope inside it", {"attached", "last"});
}

#if !defined(NDEBUG)
CHILD("assumes a token while detached") {
    start_python();
    static_cast<void>(token::assume());
}

CHILD("takes the token of a refused scope") {
    start_python();
    forbidden traversing;
    attached refused{std::nothrow};
    static_cast<void>(refused.token());
}

TEST_CASE("a token that proves nothing aborts with a sentence") {
    check_aborts("assumes a token while detached", {"token::assume", "not attached"});
    check_aborts("takes the token of a refused scope", {"attached::token", "refused"});
}
#endif

CHILD("attaches after the end") {
    start_python();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    attached here{std::nothrow};
    EXPECT(!here && here.status() == PYATTACH_NOT_INITIALIZED);
    try {
        attached again;
        EXPECT(false);
    } catch (const error &why) {
        EXPECT(why.status() == PYATTACH_NOT_INITIALIZED);
    }
}

TEST_CASE("attaching to a Python that has ended is an error, not a crash") { check_succeeds("attaches after the end"); }
