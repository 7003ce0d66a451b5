// The C++ API: what an object is, casts, and pointers from the C API.
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"

using namespace pyattach;
using Catch::Matchers::StartsWith;
using support::reference_count;
using support::start_python;

static_assert(std::is_nothrow_copy_constructible_v<cast_error> && std::is_base_of_v<error, cast_error>);

namespace {

// A PyObject pointer as a user of Python.h has it.
struct list_object {
    std::intptr_t opaque[4];
};

} // namespace

TEST_CASE("get_type gives the type of an object, or that of C++ values") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(py.get_type(py.eval("[]")).get() == py.builtin("list").get());
    CHECK(py.get_type<int>().get() == py.builtin("int").get());
    CHECK(py.get_type<unsigned long long>().get() == py.builtin("int").get());
    CHECK(py.get_type<double>().get() == py.builtin("float").get());
    CHECK(py.get_type<bool>().get() == py.builtin("bool").get());
    CHECK(py.get_type<std::string>().get() == py.builtin("str").get());
    CHECK_THROWS_AS(py.get_type(nullptr), error);
    CHECK_FALSE(py.get_type(std::nothrow, nullptr));
    CHECK(py.get_type(std::nothrow, py.builtin("int")).get() == py.builtin("type").get());
}

TEST_CASE("is_instance and is_subclass say yes, no, or why not") {
    start_python();
    attached here;
    token py = here.token();
    owned reference = py.eval("True"), number = py.builtin("int"), text = py.builtin("str"), truth = py.builtin("bool");
    CHECK(py.is_instance(reference, number));
    CHECK_FALSE(py.is_instance(reference, text));
    CHECK(py.is_instance(reference, py.eval("(str, int)")));
    CHECK(py.is_subclass(truth, number));
    CHECK_FALSE(py.is_subclass(number, truth));
    CHECK_THROWS_WITH(py.is_instance(reference, reference), StartsWith("TypeError: "));
    CHECK_THROWS_WITH(py.is_subclass(reference, number), StartsWith("TypeError: "));
    CHECK(py.is_instance(std::nothrow, reference, number) == true);
    CHECK(py.is_instance(std::nothrow, reference, text) == false);
    CHECK(py.is_subclass(std::nothrow, truth, number) == true);
    CHECK(py.is_instance(std::nothrow, reference, reference) == std::nullopt);
    CHECK_THROWS_WITH(throw_if_raised(py), StartsWith("TypeError: "));
    CHECK(py.is_subclass(std::nothrow, reference, number) == std::nullopt);
    CHECK_THROWS_WITH(throw_if_raised(py), StartsWith("TypeError: "));
}

TEST_CASE("a checked cast gives the object itself, or an error that names its type") {
    start_python();
    attached here;
    token py = here.token();
    owned list = py.eval("[]"), type = py.builtin("list");
    borrowed same = py.checked_cast(list, type);
    CHECK(same.get() == list.get());
    CHECK(reference_count(list.get()) == 1);
    list_object *layout = py.checked_cast<list_object>(list, type);
    CHECK(static_cast<void *>(layout) == static_cast<void *>(list.get()));
    owned handed_on = py.checked_cast(py.eval("[1]"), type);
    CHECK(py.to<int>(py.call_method(handed_on, "__len__")) == 1);

    CHECK_THROWS_AS(py.checked_cast(list, py.builtin("int")), cast_error);
    CHECK_THROWS_WITH(py.checked_cast(list, py.builtin("int")), "'list' object cannot be cast to 'int'");
    CHECK_THROWS_WITH(py.checked_cast(py.eval("''"), py.eval("(int, list)")),
                      "'str' object cannot be cast to '(<class 'int'>, <class 'list'>)'");
    CHECK_THROWS_AS(py.checked_cast<list_object>(py.eval("1"), type), cast_error);
    try {
        py.checked_cast(list, py.builtin("int"));
    } catch (const error &why) {
        CHECK(why.status() == PYATTACH_INVALID);
    }
    CHECK_THROWS_WITH(py.checked_cast(list, list), StartsWith("TypeError: "));
    CHECK(pyattach_error_message(nullptr, 0) == 0);
}

TEST_CASE("an unchecked cast does not check the type") {
    start_python();
    attached here;
    token py = here.token();
    owned list = py.eval("[]");
    struct _object *pointer = list.get();
    CHECK(py.cast_unchecked(list).get() == pointer);
    CHECK(py.cast_unchecked(list, py.builtin("int")).get() == pointer);
    CHECK(static_cast<void *>(py.cast_unchecked<list_object>(list)) == static_cast<void *>(pointer));
    CHECK(py.cast_unchecked(std::move(list)).get() == pointer);
}

TEST_CASE("owned pointers are taken over, borrowed ones are left to their owner") {
    start_python();
    attached here;
    token py = here.token();
    support::ref object = support::new_object();
    auto new_reference = [&] {
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        return object.get();
    };
    {
        owned first = py.from_owned_ptr(new_reference()), second = py.from_owned_ptr_or_err(new_reference());
        std::optional<owned> three = py.from_owned_ptr_or_opt(new_reference());
        CHECK(first.get() == object.get());
        CHECK(reference_count(object) == 4);
        borrowed seen = py.from_borrowed_ptr(object), same = py.from_borrowed_ptr_or_err(object);
        std::optional<borrowed> too = py.from_borrowed_ptr_or_opt(object);
        CHECK((seen.get() == object.get() && same.get() == object.get() && too->get() == object.get()));
        CHECK(reference_count(object) == 4);
    }
    CHECK(reference_count(object) == 1);
    py.xdecref(new_reference());
    py.xdecref(nullptr);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("a NULL pointer is the pending exception, or an empty answer that leaves it pending") {
    start_python();
    attached here;
    token py = here.token();
    auto raise = [&] { REQUIRE(py.run(std::nothrow, "raise KeyError('why')") == PYATTACH_PYTHON_ERROR); };
    raise();
    CHECK_THROWS_WITH(py.from_owned_ptr(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(py.from_owned_ptr_or_err(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(py.from_borrowed_ptr(nullptr), "KeyError: 'why'");
    raise();
    CHECK_THROWS_WITH(py.from_borrowed_ptr_or_err(nullptr), "KeyError: 'why'");
    raise();
    CHECK_FALSE(py.from_owned_ptr_or_opt(nullptr));
    CHECK_FALSE(py.from_borrowed_ptr_or_opt(nullptr));
    CHECK_THROWS_WITH(throw_if_raised(py), "KeyError: 'why'");
    CHECK_THROWS_WITH(py.from_owned_ptr(nullptr), "SystemError: a call failed without raising an exception");
}
