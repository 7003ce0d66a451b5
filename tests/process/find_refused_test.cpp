// The messages about a Python that cannot be used, and about calls with invalid arguments.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "tests_config.hpp"

#include <dlfcn.h>

using namespace support;

namespace {

void expect_says(const messages &said, const char *words) {
    EXPECT_SENTENCE(said.text().find(words) != std::string::npos,
                    "the message lacks \"" + std::string(words) + "\": " + said.text());
}

// The number of occurrences of `words` in `text`.
int times(const std::string &text, const std::string &words) {
    int found = 0;
    for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
        ++found;
    return found;
}

} // namespace

CHILD("an empty path") {
    for (const bool is_loaded : {false, true}) {
        messages said;
        EXPECT(pyattach_python_load("") == PYATTACH_INVALID);
        expect_says(said, "the path is empty");
        expect_says(said, "Pass NULL");
        if (!is_loaded)
            load_python();
    }
}
TEST_CASE("an empty path is refused with what to pass instead, with a Python in use and without") {
    check_succeeds("an empty path");
}

CHILD("a start without a python") {
    messages said;
    EXPECT(pyattach_interpreter_start() == PYATTACH_NO_PYTHON);
    EXPECT(pyattach_interpreter_start() == PYATTACH_NO_PYTHON);
    expect_says(said, "no Python is loaded in this process");
    expect_says(said, "pyattach_python_load");
    EXPECT(times(said.text(), "no Python is loaded") == 1);
}
TEST_CASE("starting where no Python is loaded says, once, to load one") { check_succeeds("a start without a python"); }

CHILD("a description of no size") {
    load_python();
    messages said;
    pyattach_python python{};
    EXPECT(pyattach_python_describe(&python) == PYATTACH_INVALID);
    expect_says(said, "struct_size is zero");
    EXPECT(pyattach_python_describe(nullptr) == PYATTACH_INVALID);
    EXPECT(times(said.text(), "pyattach_python_describe") == 1); // NULL needs no explanation
}
TEST_CASE("a description without struct_size is refused with the reason") {
    check_succeeds("a description of no size");
}

CHILD("polling beside an older python") {
    EXPECT(dlopen(TESTS_FAKE_OLD, RTLD_NOW | RTLD_GLOBAL));
    {
        messages said;
        for (int i = 0; i < 100; ++i)
            EXPECT(try_to_attach() == PYATTACH_UNSUPPORTED);
        EXPECT(times(said.text(), "3.8.18") == 1);
        // A call that names a Python is answered with the message each time.
        EXPECT(pyattach_python_load(TESTS_FAKE_OLD) == PYATTACH_UNSUPPORTED);
        EXPECT(pyattach_python_load(TESTS_FAKE_OLD) == PYATTACH_UNSUPPORTED);
        EXPECT(times(said.text(), "3.8.18") == 3);
    }
    messages said; // another handler
    EXPECT(try_to_attach() == PYATTACH_UNSUPPORTED);
    expect_says(said, "3.8");
}
TEST_CASE("a thread that asks again and again beside a Python that will not do fills no log") {
    check_succeeds("polling beside an older python");
}
