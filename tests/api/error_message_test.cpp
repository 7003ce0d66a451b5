// The message of the pending exception, and clearing it.
#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

void raise_in_python(const std::string &statements) {
    REQUIRE(pyattach_run(statements.c_str(), nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
}

std::string message() {
    size_t length = pyattach_error_message(nullptr, 0);
    std::string text(length + 1, '#');
    CHECK(pyattach_error_message(&text[0], text.size()) == length);
    CHECK(text[length] == '\0');
    text.resize(length);
    return text;
}

std::string message_of(const std::string &statements) {
    raise_in_python(statements);
    std::string text = message();
    pyattach_error_clear();
    return text;
}

// The three pointers of the pending exception, as PyErr_Fetch returns them.
struct words {
    object *type = nullptr, *value = nullptr, *traceback = nullptr;
    bool operator==(const words &other) const {
        return type == other.type && value == other.value && traceback == other.traceback;
    }
};

words pending() {
    words found;
    cpython<void(object **, object **, object **)>("PyErr_Fetch")(&found.type, &found.value, &found.traceback);
    words same = found;
    cpython<void(object *, object *, object *)>("PyErr_Restore")(same.type, same.value, same.traceback);
    return found;
}

// Sets an exception as C code does: up to 3.11 it is pending without its object, which CPython makes when the
// exception is caught.
void set_exception(const char *type, const char *value) {
    ref kind = eval(type), argument = eval(value);
    cpython<void(object *, object *)>("PyErr_SetObject")(kind, argument);
}

bool begins_or_continues_character(const std::string &text, size_t at) { return (text[at] & 0xC0) == 0x80; }

} // namespace

TEST_CASE("an exception reads as at the end of a traceback") {
    start_python();
    attached here;
    CHECK(message_of("raise ValueError('no')") == "ValueError: no");
    CHECK(message_of("raise ValueError('two\\nlines')") == "ValueError: two\nlines");
    CHECK(message_of("raise KeyError('name')") == "KeyError: 'name'");
    CHECK(message_of("class Odd(Exception):\n    def __str__(self): return 'mine'\nraise Odd(1, 2)") == "Odd: mine");
    CHECK(message_of("import json\njson.loads('x')") == "JSONDecodeError: Expecting value: line 1 column 1 (char 0)");
    CHECK(message_of("raise SystemExit(3)") == "SystemExit: 3");
}

TEST_CASE("an exception without a message is its type alone") {
    start_python();
    attached here;
    CHECK(message_of("raise ValueError") == "ValueError");
    CHECK(message_of("raise ValueError('')") == "ValueError");
}

TEST_CASE("a type is named without its module") {
    start_python();
    attached here;
    // The name of a type made in C includes its module, which the message leaves out.
    CHECK(message_of("raise type('library.part.Broken', (Exception,), {})('x')") == "Broken: x");
    CHECK(message_of("import subprocess\nraise subprocess.SubprocessError('x')") == "SubprocessError: x");
}

TEST_CASE("an exception that cannot be shown is its type alone") {
    start_python();
    attached here;
    const std::string opaque = "class Opaque(Exception):\n    def __str__(self): ";
    CHECK(message_of(opaque + "raise KeyError\nraise Opaque('x')") == "Opaque");
    CHECK(message_of(opaque + "raise KeyboardInterrupt\nraise Opaque('x')") == "Opaque");
    CHECK(message_of(opaque + "raise self\nraise Opaque('x')") == "Opaque");
    CHECK(message_of(opaque + "return 5\nraise Opaque('x')") == "Opaque");
    CHECK(message_of(opaque + "return str(self)\nraise Opaque('x')") == "Opaque"); // for ever
}

TEST_CASE("a message of any characters is UTF-8") {
    start_python();
    attached here;
    CHECK(message_of("raise ValueError(chr(0xE9) + chr(0x1F600))") == "ValueError: \xC3\xA9\xF0\x9F\x98\x80");
    // Lone surrogates, as in names of files that are not UTF-8.
    CHECK(message_of("raise ValueError('a' + chr(0xDCFF))") == "ValueError: a\\udcff");
    CHECK(message_of("raise ValueError('a' + chr(0) + 'b')") == std::string("ValueError: a\0b", 15));
    CHECK(message_of("raise type(chr(0xE9), (Exception,), {})('x')") == "\xC3\xA9: x");
}

TEST_CASE("a message that does not fit is cut at a character's edge") {
    start_python();
    attached here;
    raise_in_python(
        "raise type('T' + chr(0xE9), (Exception,), {})('a' + chr(0xE9) + chr(0x20AC) + chr(0x1F600) + 'z')");
    const std::string whole = "T\xC3\xA9: a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    REQUIRE(message() == whole);
    for (size_t size = 0; size <= whole.size() + 3; ++size) {
        INFO(size);
        std::string buffer(whole.size() + 8, '#');
        CHECK(pyattach_error_message(&buffer[0], size) == whole.size());
        CHECK(buffer.find_first_not_of('#', size) == std::string::npos); // nothing behind `size` is written
        if (size == 0)
            continue;
        size_t written = std::strlen(buffer.c_str());
        REQUIRE(written < size);
        CHECK(whole.compare(0, written, buffer, 0, written) == 0);
        if (written < whole.size()) {
            CHECK_FALSE(begins_or_continues_character(whole, written));
            // And one more character would not have fitted.
            size_t next = written + 1;
            while (next < whole.size() && begins_or_continues_character(whole, next))
                ++next;
            CHECK(next >= size);
        }
    }
    // NULL is no buffer, whatever size is passed with it.
    CHECK(pyattach_error_message(nullptr, 100) == whole.size());
    pyattach_error_clear();
}

TEST_CASE("the pending exception stays exactly as it was") {
    start_python();
    attached here;
    run("class Opaque(Exception):\n"
        "    def __str__(self): raise self\n"
        "class Raiser(Exception):\n"
        "    def __str__(self): raise KeyError\n");
    for (const char *statements : {"raise ValueError('no')", "raise ValueError", "raise Opaque", "raise Raiser",
                                   "1 // 0", "try:\n    1 // 0\nexcept Exception as e:\n    raise ValueError from e"}) {
        INFO(statements);
        raise_in_python(statements);
        words before = pending();
        CHECK(before.traceback != nullptr);
        for (int i = 0; i < 3; ++i)
            CHECK_FALSE(message().empty());
        CHECK(pending() == before);
        CHECK(cpython<object *()>("PyErr_Occurred")() == before.type);
        pyattach_error_clear();
    }
}

TEST_CASE("an exception whose object is not made yet reads the same and stays unmade") {
    start_python();
    attached here;
    run("made = []\n"
        "class Noted(Exception):\n"
        "    def __init__(self, *all):\n"
        "        made.append(all)\n"
        "        super().__init__(*all)\n");
    set_exception("Noted", "(1, 2)");
    words before = pending();
    CHECK(message() == "Noted: (1, 2)");
    CHECK(pending() == before);
    pyattach_error_clear();

    set_exception("KeyError", "'name'");
    before = pending();
    CHECK(message() == "KeyError: 'name'");
    CHECK(pending() == before);
    pyattach_error_clear();

    // The object may exist already, of a derived type.
    set_exception("Exception", "ValueError('special')");
    CHECK(message() == "ValueError: special");
    pyattach_error_clear();
}

TEST_CASE("an exception whose object cannot be made is its type alone") {
    start_python();
    attached here;
    run("class Picky(Exception):\n"
        "    def __init__(self): pass\n");
    ref picky = eval("Picky");
    set_exception("Picky", "'an argument'");
    words before = pending();
    // From 3.12 on CPython itself tries at once, and what that raised is pending instead.
    if (before.type == picky.get())
        CHECK(message() == "Picky");
    else
        CHECK_THAT(message(), Catch::Matchers::StartsWith("TypeError: "));
    CHECK(pending() == before);
    pyattach_error_clear();
}

TEST_CASE("without an exception there is no message") {
    start_python();
    char text[8] = "before";
    SECTION("on an attached thread") {
        attached here;
        CHECK(pyattach_error_message(text, sizeof text) == 0);
        CHECK(pyattach_error_message(nullptr, 0) == 0);
    }
    SECTION("on a thread that is not attached") {
        CHECK(pyattach_error_message(text, sizeof text) == 0);
        pyattach_error_clear();
    }
    SECTION("on another thread than that of the exception") {
        attached here;
        raise_in_python("raise ValueError('no')");
        {
            detached gap;
            run_on_thread([&] {
                EXPECT(pyattach_error_message(text, sizeof text) == 0);
                pyattach_error_clear();
                attached there;
                EXPECT(pyattach_error_message(text, sizeof text) == 0);
                pyattach_error_clear();
            });
            REQUIRE(gap.end() == PYATTACH_OK);
        }
        CHECK(message() == "ValueError: no");
        pyattach_error_clear();
    }
    CHECK(std::string(text).empty());
}

TEST_CASE("in a forbidden scope an exception is neither shown nor cleared") {
    start_python();
    attached here;
    raise_in_python("raise ValueError('no')");
    {
        forbidden inside;
        char text[8] = "before";
        CHECK(pyattach_error_message(text, sizeof text) == 0);
        CHECK(std::string(text).empty());
        pyattach_error_clear();
    }
    CHECK(message() == "ValueError: no");
    pyattach_error_clear();
}

TEST_CASE("clearing an exception releases it, and nothing if there is none") {
    start_python();
    attached here;
    pyattach_error_clear();
    run("import weakref\n"
        "class Mortal(Exception): pass\n");
    raise_in_python("error = Mortal()\nwatch = weakref.ref(error)\ntry: raise error\nfinally: del error");
    CHECK(message() == "Mortal");
    pyattach_error_clear();
    CHECK(cpython<object *()>("PyErr_Occurred")() == nullptr);
    CHECK(eval_true("watch() is None"));
    pyattach_error_clear();
}

TEST_CASE("messages keep nothing of the exceptions they are about") {
    start_python();
    attached here;
    auto blocks = [] {
        run("import gc\ngc.collect()");
        return eval_int("__import__('sys').getallocatedblocks()");
    };
    // What CPython itself keeps, in caches and, free-threaded, of code and types, it keeps in every round.
    auto growth = [&](bool with_message) {
        auto before = blocks();
        for (int i = 0; i < 1000; ++i) {
            raise_in_python("raise type('Own', (Exception,), {})('of its own')");
            char text[40];
            if (with_message)
                REQUIRE(pyattach_error_message(text, sizeof text) == 15);
            pyattach_error_clear();
        }
        return blocks() - before;
    };
    growth(true);
    auto without = growth(false);
    CHECK(growth(true) < without + 500);
}
