// Conversions between Python objects and C values.
#include <cfloat>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support/pending_exception.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"

using namespace support;
using Catch::Matchers::StartsWith;

namespace {

// The value of `expression`, or the exception that the conversion raised; it must not write the result then.
template <class Value, pyattach_status convert(object *, Value *)>
std::pair<Value, std::string> converted(const char *expression) {
    INFO(expression);
    ref from = eval(expression);
    Value value = 77;
    pyattach_status status = convert(from, &value);
    std::string raised = take_error();
    CHECK((status == PYATTACH_OK) == (raised == "no exception"));
    CHECK((status == PYATTACH_OK || (status == PYATTACH_PYTHON_ERROR && value == 77)));
    return {value, status == PYATTACH_OK ? "" : raised};
}
constexpr auto to_int64 = converted<int64_t, pyattach_to_int64>;
constexpr auto to_double = converted<double, pyattach_to_double>;
constexpr auto to_bool = converted<int, pyattach_to_bool>;

// What comes back from `data` as bytes or as UTF-8.
template <pyattach_status convert(object *, const char **, size_t *)> std::string text_of(object *from) {
    const char *text = nullptr;
    size_t size = 0;
    REQUIRE(convert(from, &text, &size) == PYATTACH_OK);
    CHECK(text[size] == '\0');
    return std::string(text, size);
}

void prepare() {
    start_python();
    static bool is_prepared;
    attached here;
    if (!std::exchange(is_prepared, true))
        run("class Index:\n"
            "    def __init__(self, value): self.value = value\n"
            "    def __index__(self): return self.value\n"
            "class Float:\n"
            "    def __float__(self): return 2.5\n"
            "class Int:\n"
            "    def __int__(self): return 3\n"
            "class Raises:\n"
            "    def refuse(self): raise LookupError('refused')\n"
            "    __index__ = __float__ = __bool__ = __str__ = __repr__ = refuse\n"
            "class Text(str): pass\n"
            "class Data(bytes): pass\n"
            "class Pretender:\n"
            "    __class__ = str\n");
}

} // namespace

TEST_CASE("integers convert up to the bounds of 64 bits, and no further") {
    prepare();
    attached here;
    CHECK(to_int64("0").first == 0);
    CHECK(to_int64("-1").first == -1);
    CHECK(to_int64("2**63 - 1").first == INT64_MAX);
    CHECK(to_int64("-2**63").first == INT64_MIN);
    for (const char *beyond : {"2**63", "-2**63 - 1", "10**100", "-10**100", "Index(2**63)"})
        CHECK_THAT(to_int64(beyond).second, StartsWith("OverflowError: "));
}

TEST_CASE("integers accept anything with __index__ and nothing else") {
    prepare();
    attached here;
    CHECK(to_int64("True").first == 1);
    CHECK(to_int64("Index(-1)").first == -1);
    CHECK(to_int64("Index(True)").first == 1);
    for (const char *no_integer : {"1.0", "'1'", "None", "Int()", "Float()", "Index('1')"})
        CHECK_THAT(to_int64(no_integer).second, StartsWith("TypeError: "));
    CHECK(to_int64("Raises()").second == "LookupError: refused");
}

TEST_CASE("doubles accept anything with __float__ or __index__") {
    prepare();
    attached here;
    CHECK(to_double("1.5").first == 1.5);
    CHECK(to_double("-1.0").first == -1.0);
    CHECK(to_double("-1").first == -1.0);
    CHECK(to_double("Float()").first == 2.5);
    CHECK(to_double("Index(4)").first == 4);
    CHECK(to_double("__import__('sys').float_info.max").first == DBL_MAX);
    CHECK(to_double("float('-inf')").first == -HUGE_VAL);
    CHECK(std::isnan(to_double("float('nan')").first));
    CHECK_THAT(to_double("10**400").second, StartsWith("OverflowError: "));
    for (const char *no_number : {"'1'", "None", "Int()", "1j"})
        CHECK_THAT(to_double(no_number).second, StartsWith("TypeError: "));
    CHECK(to_double("Raises()").second == "LookupError: refused");
}

TEST_CASE("bool asks for the truth of any object") {
    prepare();
    attached here;
    CHECK(to_bool("[]").first == 0);
    CHECK(to_bool("[0]").first == 1);
    CHECK(to_bool("None").first == 0);
    CHECK(to_bool("object()").first == 1);
    CHECK(to_bool("-1").first == 1);
    CHECK(to_bool("Raises()").second == "LookupError: refused");
}

TEST_CASE("the text of a str is UTF-8, with whatever is in it, and the object's own") {
    prepare();
    attached here;
    ref text = eval("'a' + chr(0) + chr(0xE9) + chr(0x1F600)");
    CHECK(text_of<pyattach_to_utf8>(text) == std::string("a\0\xC3\xA9\xF0\x9F\x98\x80", 8));
    CHECK(text_of<pyattach_to_utf8>(eval("''")).empty());
    CHECK(text_of<pyattach_to_utf8>(eval("Text('of a subclass')")) == "of a subclass");

    const char *once = nullptr, *again = nullptr;
    REQUIRE(pyattach_to_utf8(text, &once, nullptr) == PYATTACH_OK);
    REQUIRE(pyattach_to_utf8(text, &again, nullptr) == PYATTACH_OK);
    CHECK(once == again);
}

TEST_CASE("what is no str, or holds lone surrogates, has no text") {
    prepare();
    attached here;
    auto refused = [](const char *expression) {
        ref from = eval(expression);
        const char *text = "before";
        size_t size = 77;
        CHECK(pyattach_to_utf8(from, &text, &size) == PYATTACH_PYTHON_ERROR);
        CHECK(text == nullptr);
        CHECK(size == 77);
        return take_error();
    };
    CHECK_THAT(refused("'a' + chr(0xD800)"), StartsWith("UnicodeEncodeError: "));
    CHECK(refused("b'bytes'") == "TypeError: expected str, bytes found");
    CHECK(refused("None") == "TypeError: expected str, NoneType found");
    CHECK(refused("Pretender()") == "TypeError: expected str, Pretender found");
}

TEST_CASE("the data of a bytes object is all of it, and the object's own") {
    prepare();
    attached here;
    ref data = eval("bytes([0, 255, 0, 65])");
    CHECK(text_of<pyattach_to_bytes>(data) == std::string("\0\xFF\0A", 4));
    CHECK(text_of<pyattach_to_bytes>(eval("b''")).empty());
    CHECK(text_of<pyattach_to_bytes>(eval("Data(b'of a subclass')")) == "of a subclass");

    const char *once = nullptr, *again = nullptr;
    REQUIRE(pyattach_to_bytes(data, &once, nullptr) == PYATTACH_OK);
    REQUIRE(pyattach_to_bytes(data, &again, nullptr) == PYATTACH_OK);
    CHECK(once == again);
    for (const char *no_bytes : {"'str'", "bytearray(b'a')", "None", "memoryview(b'a')"}) {
        INFO(no_bytes);
        ref from = eval(no_bytes);
        size_t size = 77;
        CHECK(pyattach_to_bytes(from, &once, &size) == PYATTACH_PYTHON_ERROR);
        CHECK(once == nullptr);
        CHECK(size == 77);
        CHECK_THAT(take_error(), StartsWith("TypeError: expected bytes, "));
    }
}

TEST_CASE("values from C arrive in Python as they are") {
    prepare();
    attached here;
    object *made = nullptr;
    auto is = [&](pyattach_status status, const char *expression) {
        REQUIRE(status == PYATTACH_OK);
        ref it(made);
        publish("it", it);
        return eval_true(std::string("it == ") + expression + " and type(it) is type(" + expression + ")");
    };
    CHECK(is(pyattach_from_int64(INT64_MIN, &made), "-2**63"));
    CHECK(is(pyattach_from_int64(INT64_MAX, &made), "2**63 - 1"));
    CHECK(is(pyattach_from_int64(-1, &made), "-1"));
    CHECK(is(pyattach_from_double(-0.5, &made), "-0.5"));
    CHECK(is(pyattach_from_double(HUGE_VAL, &made), "float('inf')"));
    CHECK(is(pyattach_from_bool(0, &made), "False"));
    CHECK(is(pyattach_from_bool(-7, &made), "True"));
    CHECK(is(pyattach_from_utf8("\xC3\xA9\0z", 4, &made), "chr(0xE9) + chr(0) + 'z'"));
    CHECK(is(pyattach_from_utf8("abc", 2, &made), "'ab'"));
    CHECK(is(pyattach_from_utf8(nullptr, 0, &made), "''"));
    CHECK(is(pyattach_from_bytes("\xFF\0z", 3, &made), "bytes([255, 0, 122])"));
    CHECK(is(pyattach_from_bytes(nullptr, 0, &made), "b''"));
    run("del it");
}

TEST_CASE("text that is not UTF-8 is a UnicodeDecodeError") {
    prepare();
    attached here;
    // A stray byte, a character cut off, a surrogate, an overlong form, beyond the last character.
    for (const char *text : {"\xFF", "a\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80"}) {
        object *made = reinterpret_cast<object *>(&made);
        CHECK(pyattach_from_utf8(text, std::strlen(text), &made) == PYATTACH_PYTHON_ERROR);
        CHECK(made == nullptr);
        CHECK_THAT(take_error(), StartsWith("UnicodeDecodeError: "));
    }
}

TEST_CASE("conversions keep no reference") {
    prepare();
    attached here;
    run("kept = Index(10**9)");
    ref index = eval("kept"), found = eval("kept.value"), text = eval("''.join(['a', 'b', chr(0xE9)])");
    ref raises = eval("Raises()"), type = eval("Raises"), name = eval("Raises.__name__");
    auto count = [&] {
        std::vector<int64_t> counts;
        for (object *reference : {index.get(), found.get(), text.get(), raises.get(), type.get(), name.get()})
            counts.push_back(reference_count(reference));
        return counts;
    };
    auto before = count();
    for (int i = 0; i < 10; ++i) {
        int64_t integer;
        double number;
        const char *data;
        object *made = nullptr;
        CHECK(pyattach_to_int64(index, &integer) == PYATTACH_OK);
        CHECK(pyattach_to_double(index, &number) == PYATTACH_OK);
        CHECK(pyattach_to_utf8(text, &data, nullptr) == PYATTACH_OK);
        CHECK(pyattach_to_bytes(text, &data, nullptr) == PYATTACH_PYTHON_ERROR);
        pyattach_error_clear();
        CHECK(pyattach_to_utf8(raises, &data, nullptr) == PYATTACH_PYTHON_ERROR);
        pyattach_error_clear();
        CHECK(pyattach_str(raises, &made) == PYATTACH_PYTHON_ERROR);
        pyattach_error_clear();
    }
    CHECK(count() == before);
}

TEST_CASE("str and repr give new strings, or what raised") {
    prepare();
    attached here;
    object *made = nullptr;
    ref text = eval("'it' + chr(39) + 's'");
    REQUIRE(pyattach_str(text, &made) == PYATTACH_OK);
    CHECK(text_of<pyattach_to_utf8>(ref(made)) == "it's");
    REQUIRE(pyattach_repr(text, &made) == PYATTACH_OK);
    CHECK(text_of<pyattach_to_utf8>(ref(made)) == "\"it's\"");
    ref raises = eval("Raises()");
    for (auto convert : {pyattach_str, pyattach_repr}) {
        made = raises;
        CHECK(convert(raises, &made) == PYATTACH_PYTHON_ERROR);
        CHECK(made == nullptr);
        CHECK(take_error() == "LookupError: refused");
    }
}
