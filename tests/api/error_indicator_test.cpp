// The error indicator: no call sets or clears it, unless it returns PYTHON_ERROR.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/traversed.hpp"

#include "support/pending_exception.hpp"

using namespace support;

namespace {

std::string pending() {
    char text[200] = "";
    pyattach_error_message(text, sizeof text);
    return text;
}

} // namespace

TEST_CASE("a nested scope, a detached scope and a forbidden one keep a pending exception") {
    start_python();
    attached here;
    raise_value_error("kept");
    {
        attached nested;
        CHECK(pending() == "ValueError: kept");
    }
    CHECK(pending() == "ValueError: kept");
    { detached gap; }
    CHECK(pending() == "ValueError: kept");
    { forbidden traverse; }
    CHECK(pending() == "ValueError: kept");
    pyattach_error_clear();
}

TEST_CASE("an exception that was pending before a scope attached is still pending after it") {
    start_python();
    attached here;
    raise_value_error("kept");
    SECTION("below a detached scope") {
        detached gap;
        attached again;
    }
    SECTION("below other code that detached the thread") {
        foreign_detach gap;
        attached again;
    }
    CHECK(pending() == "ValueError: kept");
    pyattach_error_clear();
}

TEST_CASE("queries, references and locks keep a pending exception") {
    start_python();
    attached here;
    ref object = new_object();
    raise_value_error("kept");
    CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
    CHECK(pyattach_incref(object) == PYATTACH_OK);
    pyattach_decref(object);
    CHECK(pyattach_is_attached());
    pyattach_critical_section section;
    REQUIRE(pyattach_critical_section_begin(&section, object) == PYATTACH_OK);
    pyattach_critical_section_end(&section);
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&mutex);
    pyattach_mutex_unlock(&mutex);
    pyattach_once once = PYATTACH_ONCE_INIT;
    CHECK(pyattach_once_run(
              &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_OK);
    CHECK(pyattach_interpreter_start() == PYATTACH_OK);
    CHECK(pending() == "ValueError: kept");
    pyattach_error_clear();
}

TEST_CASE("draining the pool keeps a pending exception from destructors in C, which may do anything to it") {
    start_python();
    attached here;
    int dropped = 0;
    make_traversed_type({nullptr, [&](object *held) {
                             ++dropped;
                             pyattach_error_clear();
                             pyattach_decref(held);
                         }});
    ref first = eval("Holder(1)"), second = eval("Holder(2)"), third = eval("Holder(3)");
    auto drop = [](ref &reference) {
        foreign_detach gap;
        reference.drop();
    };
    drop(first);
    raise_value_error("kept");
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pending() == "ValueError: kept");
    drop(second);
    { attached nested; }
    CHECK(pending() == "ValueError: kept");
    {
        detached gap;
        third.drop();
    }
    CHECK(pending() == "ValueError: kept");
    CHECK(dropped == 3);
    pyattach_error_clear();
}

TEST_CASE("an exception still set when the scope that attached ends is reported as unraisable and cleared") {
    start_python();
    {
        attached here;
        run("import sys; said = []; sys.unraisablehook = lambda info: said.append(str(info.exc_value))");
    }
    run_on_thread([] {
        attached here;
        {
            attached nested;
            raise_value_error("left behind");
        }
        CHECK(pending() == "ValueError: left behind"); // a nested end leaves it alone
    });
    run_on_thread([] {
        { attached warm; }
        {
            attached here;
            raise_value_error("left warm");
        }
        attached here;
        CHECK(pending().empty());
    });
    {
        attached here; // this thread's own thread state lives on, so the next attach would see it
        raise_value_error("left here");
    }
    attached here;
    CHECK(pending().empty());
    CHECK(eval_text("said") == "['left behind', 'left warm', 'left here']");
    run("sys.unraisablehook = sys.__unraisablehook__");
}
