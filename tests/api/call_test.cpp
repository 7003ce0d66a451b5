// Calls: import, attributes, call, signals.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

#include "support/pending_exception.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

TEST_CASE("import gives the very module named") {
    start_python();
    attached here;
    object *module = nullptr;
    REQUIRE(pyattach_import("xml.etree.ElementTree", &module) == PYATTACH_OK);
    CHECK(is_true_of(ref(module), "it.__name__ == 'xml.etree.ElementTree'"));
    for (const char *name : {"no_such_module", "xml.no_such_module"}) {
        CHECK(pyattach_import(name, &module) == PYATTACH_PYTHON_ERROR);
        CHECK(module == nullptr);
        CHECK_THAT(take_error(), Catch::Matchers::StartsWith("ModuleNotFoundError: "));
    }
    CHECK(pyattach_import("", &module) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error_type() == "ValueError");
    CHECK(pyattach_import("\xFF", &module) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error_type() == "UnicodeDecodeError");
}

TEST_CASE("attributes are read, set and deleted") {
    start_python();
    attached here;
    ref on = eval("type('Thing', (), {})()"), value = new_object();
    object *found = on;
    CHECK(pyattach_get_attribute(on, "size", &found) == PYATTACH_PYTHON_ERROR);
    CHECK(found == nullptr);
    CHECK(take_error_type() == "AttributeError");

    auto before = reference_count(value);
    REQUIRE(pyattach_set_attribute(on, "size", value) == PYATTACH_OK);
    CHECK(reference_count(value) == before + 1); // the attribute's own; ours was not stolen
    REQUIRE(pyattach_get_attribute(on, "size", &found) == PYATTACH_OK);
    CHECK(found == value.get());
    CHECK(reference_count(value) == before + 2);
    pyattach_decref(found);

    REQUIRE(pyattach_set_attribute(on, "size", nullptr) == PYATTACH_OK);
    CHECK(reference_count(value) == before);
    CHECK_FALSE(is_true_of(on, "hasattr(it, 'size')"));
    CHECK(pyattach_set_attribute(on, "size", nullptr) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error_type() == "AttributeError");
    CHECK(pyattach_set_attribute(value, "size", on) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error_type() == "AttributeError");
}

TEST_CASE("a call hands over positional arguments and steals none") {
    start_python();
    attached here;
    ref callable = eval("lambda *all, **named: (all, named)"), first = new_object(), second = new_object();
    object *const arguments[] = {first, second};
    auto before = reference_count(first);
    object *result = nullptr;
    REQUIRE(pyattach_call(callable, arguments, 2, &result) == PYATTACH_OK);
    publish("one", first), publish("two", second);
    CHECK(is_true_of(ref(result), "len(it[0]) == 2 and it[0][0] is one and it[0][1] is two and it[1] == {}"));
    run("del one, two");
    CHECK(reference_count(first) == before);

    REQUIRE(pyattach_call(callable, nullptr, 0, &result) == PYATTACH_OK);
    CHECK(is_true_of(ref(result), "it == ((), {})"));
    REQUIRE(pyattach_call(eval("dict"), nullptr, 0, &result) == PYATTACH_OK);
    CHECK(is_true_of(ref(result), "it == {}"));

    CHECK(pyattach_call(first, arguments, 2, &result) == PYATTACH_PYTHON_ERROR);
    CHECK(result == nullptr);
    CHECK_THAT(take_error(), Catch::Matchers::StartsWith("TypeError: 'object' object is not callable"));
    CHECK(pyattach_call(eval("lambda: 1 // 0"), nullptr, 0, &result) == PYATTACH_PYTHON_ERROR);
    CHECK(take_error_type() == "ZeroDivisionError");
}

TEST_CASE("a call with a NULL among its arguments is invalid") {
    start_python();
    attached here;
    ref callable = eval("lambda *all: all"), first = new_object();
    object *const arguments[] = {first, nullptr};
    object *result = first;
    CHECK(pyattach_call(callable, arguments, 2, &result) == PYATTACH_INVALID);
    CHECK(result == nullptr);
    CHECK(pyattach_call(callable, nullptr, 1, &result) == PYATTACH_INVALID);
    REQUIRE(pyattach_call(callable, arguments, 1, &result) == PYATTACH_OK);
    CHECK(is_true_of(ref(result), "len(it) == 1"));
}

TEST_CASE("a call with more arguments than can exist is invalid, and none is read") {
    start_python();
    attached here;
    ref callable = eval("lambda *all: all"), first = new_object();
    // The arguments end with a page, and the next page is not readable.
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void *pages = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    REQUIRE(mprotect(static_cast<char *>(pages) + page, page, PROT_NONE) == 0);
    object **arguments = static_cast<object **>(pages);
    std::fill_n(arguments, page / sizeof(object *), first.get());

    for (size_t count : {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / sizeof(object *)}) {
        object *result = first;
        CHECK(pyattach_call(callable, arguments, count, &result) == PYATTACH_INVALID);
        CHECK(result == nullptr);
    }
    object *result = nullptr;
    REQUIRE(pyattach_call(callable, arguments, page / sizeof(object *), &result) == PYATTACH_OK);
    pyattach_decref(result);
    munmap(pages, 2 * page);
}

TEST_CASE("the handler of a signal that arrived runs, and its exception is reported") {
    start_python();
    attached here;
    run("import signal\n"
        "ran = []\n"
        "def handler(number, frame):\n"
        "    ran.append(number)\n"
        "    if len(ran) == 2: raise InterruptedError('second time')\n"
        "before = signal.signal(signal.SIGUSR1, handler)");
    CHECK(pyattach_check_signals() == PYATTACH_OK);
    CHECK(eval_true("ran == []"));

    REQUIRE(std::raise(SIGUSR1) == 0);
    CHECK(pyattach_check_signals() == PYATTACH_OK);
    CHECK(eval_true("ran == [signal.SIGUSR1]"));

    REQUIRE(std::raise(SIGUSR1) == 0);
    CHECK(pyattach_check_signals() == PYATTACH_PYTHON_ERROR);
    CHECK(take_error() == "InterruptedError: second time");
    run("signal.signal(signal.SIGUSR1, before)");
}

TEST_CASE("signals can be handled on the main thread, attached to the main interpreter") {
    start_python();
    CHECK(pyattach_can_handle_signals() == 0);
    attached here;
    CHECK(pyattach_can_handle_signals() == 1);
    {
        forbidden traversing;
        CHECK(pyattach_can_handle_signals() == 0);
    }
    detached gap;
    CHECK(pyattach_can_handle_signals() == 0);
    run_on_thread([] {
        EXPECT(pyattach_can_handle_signals() == 0);
        attached there;
        EXPECT(pyattach_can_handle_signals() == 0);
    });
}

TEST_CASE("off the main thread signals are left alone") {
    start_python();
    attached here;
    run("import signal\n"
        "ran = []\n"
        "before = signal.signal(signal.SIGUSR1, lambda number, frame: ran.append(number))");
    REQUIRE(std::raise(SIGUSR1) == 0);
    {
        detached gap;
        run_on_thread([] {
            attached there;
            EXPECT(pyattach_check_signals() == PYATTACH_OK);
            EXPECT(eval_true("ran == []"));
        });
        REQUIRE(gap.end() == PYATTACH_OK);
    }
    CHECK(pyattach_check_signals() == PYATTACH_OK);
    CHECK(eval_true("ran == [signal.SIGUSR1]"));
    run("signal.signal(signal.SIGUSR1, before)");
}
