// The C++ API: conversions between C++ values and Python objects.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"

using namespace pyattach;
using Catch::Matchers::StartsWith;
using support::start_python;

namespace {

struct point {
    int x, y;
};

} // namespace

template <> struct pyattach::conversion<point> {
    static constexpr const char *type_name = "tuple";
    static pyattach_status to_python(token py, const point &value, struct _object **result) {
        owned made = py.call(std::nothrow, py.eval(std::nothrow, "lambda *all: all"), value.x, value.y);
        *result = made.release();
        return *result ? PYATTACH_OK : PYATTACH_PYTHON_ERROR;
    }
    static pyattach_status from_python(token py, struct _object *object, point &value) {
        auto x = py.to<int>(std::nothrow, py.call_method(std::nothrow, object, "__getitem__", 0));
        auto y = x ? py.to<int>(std::nothrow, py.call_method(std::nothrow, object, "__getitem__", 1)) : x;
        if (!y)
            return PYATTACH_PYTHON_ERROR;
        value = {*x, *y};
        return PYATTACH_OK;
    }
};

namespace {

template <class T> void check_there_and_back(token py, T value, const std::string &shown) {
    owned object = py.from(value);
    CHECK(py.to<std::string>(py.repr(object)) == shown);
    CHECK(py.to<T>(object) == value);
}

template <class T> void check_range(token py) {
    check_there_and_back<T>(py, std::numeric_limits<T>::min(), std::to_string(std::numeric_limits<T>::min()));
    check_there_and_back<T>(py, std::numeric_limits<T>::max(), std::to_string(std::numeric_limits<T>::max()));
    std::string above = std::to_string(std::numeric_limits<T>::max()) + " + 1";
    std::string below = std::to_string(std::numeric_limits<T>::min()) + " - 1";
    CHECK_THROWS_WITH(py.to<T>(py.eval(above)), StartsWith("OverflowError: "));
    CHECK_THROWS_WITH(py.to<T>(py.eval(below)), StartsWith("OverflowError: "));
    CHECK_THROWS_WITH(py.to<T>(py.eval("10 ** 100")), StartsWith("OverflowError: "));
    CHECK_THROWS_WITH(py.to<T>(py.eval("-10 ** 100")), StartsWith("OverflowError: "));
    CHECK_THROWS_WITH(py.to<T>(py.eval("'7'")), StartsWith("TypeError: "));
    CHECK_THROWS_WITH(py.to<T>(py.eval("7.0")), StartsWith("TypeError: "));
}

} // namespace

TEST_CASE("integers of every width go there and back, and what does not fit is an OverflowError") {
    start_python();
    attached here;
    token py = here.token();
    check_range<signed char>(py);
    check_range<unsigned char>(py);
    check_range<short>(py);
    check_range<unsigned short>(py);
    check_range<int>(py);
    check_range<unsigned>(py);
    check_range<long>(py);
    check_range<unsigned long>(py);
    check_range<long long>(py);
    check_range<unsigned long long>(py);
}

TEST_CASE("anything with an index is an integer, also a large one") {
    start_python();
    attached here;
    token py = here.token();
    py.run("class Indexed:\n    def __init__(self, value): self.value = value\n"
           "    def __index__(self): return self.value");
    CHECK(py.to<int>(py.eval("Indexed(7)")) == 7);
    CHECK(py.to<std::uint64_t>(py.eval("Indexed(2 ** 64 - 1)")) == ~std::uint64_t{0});
    CHECK(py.to<int>(py.eval("True")) == 1);
    CHECK_THROWS_WITH(py.to<std::uint64_t>(py.eval("Indexed('x')")), StartsWith("TypeError: "));
    CHECK(pyattach_error_message(nullptr, 0) == 0);
}

TEST_CASE("floating point numbers go there and back") {
    start_python();
    attached here;
    token py = here.token();
    check_there_and_back(py, 0.5, "0.5");
    check_there_and_back(py, -1e300, "-1e+300");
    check_there_and_back(py, 0.25f, "0.25");
    CHECK(std::isnan(py.to<double>(py.from(std::nan("")))));
    CHECK(py.to<double>(py.eval("3")) == 3.0);
    CHECK_THROWS_WITH(py.to<double>(py.eval("'3'")), StartsWith("TypeError: "));
    CHECK_THROWS_WITH(py.to<double>(py.eval("10 ** 400")), StartsWith("OverflowError: "));
}

TEST_CASE("bool is the truth of an object") {
    start_python();
    attached here;
    token py = here.token();
    check_there_and_back(py, true, "True");
    check_there_and_back(py, false, "False");
    CHECK(py.to<bool>(py.eval("[0]")));
    CHECK_FALSE(py.to<bool>(py.eval("[]")));
    CHECK_THROWS_AS(py.to<bool>(py.eval("type('No', (), {'__bool__': lambda self: 1/0})()")), python_error);
}

TEST_CASE("texts go there and back as UTF-8, with any character inside") {
    start_python();
    attached here;
    token py = here.token();
    const std::string text("na\xc3\xafve\0\xf0\x9f\x90\x8d", 11);
    owned object = py.from(text);
    CHECK(py.to<std::string>(object) == text);
    CHECK(py.to<std::string_view>(object) == text);
    CHECK(py.to<int>(py.call(py.builtin("len"), object)) == 7);
    CHECK(py.to<std::string>(py.from(std::string_view(text).substr(0, 2))) == "na");
    CHECK(py.to<std::string>(py.from("")).empty());
    char buffer[] = "changeable";
    char *pointer = buffer;
    CHECK(py.to<std::string>(py.from(pointer)) == "changeable");
    CHECK_THROWS_WITH(py.from(std::string("\xff")), StartsWith("UnicodeDecodeError: "));
    CHECK_THROWS_WITH(py.to<std::string>(py.eval("'\\udcff'")), StartsWith("UnicodeEncodeError: "));
    CHECK_THROWS_WITH(py.to<std::string>(py.eval("b'bytes'")), StartsWith("TypeError: "));
    try {
        py.from(static_cast<const char *>(nullptr));
        FAIL("NULL became a text");
    } catch (const error &why) {
        CHECK(why.status() == PYATTACH_INVALID);
    }
}

TEST_CASE("bytes hold any data") {
    start_python();
    attached here;
    token py = here.token();
    const std::string_view data("\0\xff\n", 3);
    owned object = py.from_bytes(data);
    CHECK(py.to_bytes(object) == data);
    CHECK(py.to<std::string>(py.repr(object)) == "b'\\x00\\xff\\n'");
    CHECK(py.to_bytes(py.from_bytes({})).empty());
    CHECK_THROWS_WITH(py.to_bytes(py.from("text")), StartsWith("TypeError: "));
    CHECK(py.to_bytes(std::nothrow, object) == data);
    CHECK(py.from_bytes(std::nothrow, data));
    CHECK_FALSE(py.to_bytes(std::nothrow, py.from("text")));
    pyattach_error_clear();
}

TEST_CASE("a value that is an object already becomes a new reference to it") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.eval("object()");
    owned same = py.from(reference), again = py.from(reference.get()), third = py.from(borrowed{py, reference});
    CHECK((same.get() == reference.get() && again.get() == reference.get() && third.get() == reference.get()));
    CHECK(support::reference_count(reference.get()) == 4);
    CHECK_THROWS_AS(py.from(static_cast<struct _object *>(nullptr)), error);
}

TEST_CASE("conversion is open to types of one's own") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.from(point{3, 4});
    CHECK(py.to<std::string>(py.repr(object)) == "(3, 4)");
    CHECK(py.to<point>(object).y == 4);
    CHECK_THROWS_WITH(py.to<point>(py.eval("(1,)")), StartsWith("IndexError: "));
    CHECK(py.is_instance(object, py.get_type<point>()));
}

TEST_CASE("conversions told not to throw give nothing, and leave the exception pending") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(py.to<int>(std::nothrow, py.from(5)) == 5);
    CHECK_FALSE(py.to<signed char>(std::nothrow, py.from(500)).has_value());
    CHECK_THROWS_WITH(throw_if_raised(py), StartsWith("OverflowError: "));
    CHECK_FALSE(py.from(std::nothrow, std::string("\xff")));
    CHECK_THROWS_WITH(throw_if_raised(py), StartsWith("UnicodeDecodeError: "));
}
