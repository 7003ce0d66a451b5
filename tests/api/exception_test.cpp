// The pending exception as an object, and what an object is: the C API.
#include <string>

#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/unraisable.hpp"
#include "support/scopes.hpp"

using namespace support;

namespace {

void raise(const char *statements) { REQUIRE(pyattach_run(statements, nullptr, nullptr) == PYATTACH_PYTHON_ERROR); }

bool is_pending() { return pyattach_error_message(nullptr, 0) != 0; }

std::string text_of(object *reference) {
    object *text = nullptr;
    REQUIRE(pyattach_repr(reference, &text) == PYATTACH_OK);
    ref owner(text);
    const char *data = nullptr;
    REQUIRE(pyattach_to_utf8(text, &data, nullptr) == PYATTACH_OK);
    return data;
}

ref take() {
    object *exception = nullptr;
    REQUIRE(pyattach_error_take(&exception) == PYATTACH_OK);
    return ref(exception);
}

} // namespace

TEST_CASE("taking the pending exception gives the object with its traceback and leaves none pending") {
    start_python();
    attached here;
    raise("def deep(): raise KeyError('gone')\ndeep()");
    ref exception = take();
    CHECK_FALSE(is_pending());
    CHECK(text_of(exception) == "KeyError('gone')");
    publish("taken", exception);
    CHECK(eval_text("taken.__traceback__.tb_next.tb_frame.f_code.co_name") == "deep");
    run("del taken");
}

TEST_CASE("an exception that C code raised without an object is made when taken") {
    start_python();
    attached here;
    ref type = eval("ValueError"), argument = eval("'made late'");
    cpython<void(object *, object *)>("PyErr_SetObject")(type, argument);
    CHECK(text_of(take()) == "ValueError('made late')");
    CHECK_FALSE(is_pending());
}

TEST_CASE("an exception taken and dropped leaves nothing behind") {
    start_python();
    attached here;
    run("import weakref\nclass Own(Exception): pass\nclass Marker: pass\nmarkers = []");
    ref own = eval("Own");
    std::int64_t count = reference_count(own);
    for (int i = 0; i < 10; ++i) {
        raise("def deep():\n    marker = Marker()\n    markers.append(weakref.ref(marker))\n    raise Own\ndeep()");
        ref exception = take();
        CHECK(eval_true("markers[-1]() is not None"));
        CHECK(pyattach_error_restore(exception) == PYATTACH_OK);
        CHECK(take().get() == exception.get());
    }
    CHECK(eval_true("all(marker() is None for marker in markers)"));
    CHECK(reference_count(own) == count);
}

TEST_CASE("nothing is taken where nothing is pending") {
    start_python();
    attached here;
    object *exception = eval("1").release();
    CHECK(pyattach_error_take(&exception) == PYATTACH_OK);
    CHECK(exception == nullptr);
    CHECK(pyattach_error_take(nullptr) == PYATTACH_INVALID);
}

TEST_CASE("a restored exception is pending again, with its traceback, and is not stolen") {
    start_python();
    attached here;
    raise("def deep(): raise KeyError('again')\ndeep()");
    ref exception = take();
    std::int64_t count = reference_count(exception);
    CHECK(pyattach_error_restore(exception) == PYATTACH_OK);
    CHECK(is_pending());
    // Pending with it, not only the object: up to 3.11 frames on the way are added to what is pending.
    object *type = nullptr, *value = nullptr, *traceback = nullptr;
    cpython<void(object **, object **, object **)>("PyErr_Fetch")(&type, &value, &traceback);
    CHECK(value == exception.get());
    CHECK(traceback != nullptr);
    cpython<void(object *, object *, object *)>("PyErr_Restore")(type, value, traceback);
    ref same = take();
    CHECK(same.get() == exception.get());
    publish("restored", exception);
    CHECK(eval_text("restored.__traceback__.tb_next.tb_frame.f_code.co_name") == "deep");
    run("del restored");
    same.drop();
    CHECK(reference_count(exception) == count);
}

TEST_CASE("restoring replaces the exception that is pending") {
    start_python();
    attached here;
    ref newer = eval("IndexError('newer')");
    raise("raise KeyError('older')");
    CHECK(pyattach_error_restore(newer) == PYATTACH_OK);
    CHECK(text_of(take()) == "IndexError('newer')");
    CHECK_FALSE(is_pending());
}

TEST_CASE("only exception objects can be restored") {
    start_python();
    attached here;
    raise("raise KeyError('kept')");
    ref kept = take();
    ref number = eval("1"), type = eval("ValueError");
    ref liar = eval("type('Liar', (), {'__class__': ValueError})()");
    CHECK(pyattach_error_restore(kept) == PYATTACH_OK);
    for (object *wrong : {number.get(), type.get(), liar.get(), static_cast<object *>(nullptr)})
        CHECK(pyattach_error_restore(wrong) == PYATTACH_INVALID);
    CHECK(text_of(take()) == "KeyError('kept')");
}

TEST_CASE("an exception matches as an except clause decides") {
    start_python();
    attached here;
    ref exception = eval("KeyError('x')");
    auto matches = [&](const char *type) {
        ref wanted = eval(type);
        int answer = -1;
        REQUIRE(pyattach_error_matches(exception, wanted, &answer) == PYATTACH_OK);
        return answer;
    };
    CHECK(matches("KeyError") == 1);
    CHECK(matches("LookupError") == 1);
    CHECK(matches("(ValueError, Exception)") == 1);
    CHECK(matches("ValueError") == 0);
    CHECK(matches("()") == 0);
    int answer = -1;
    CHECK(pyattach_error_matches(nullptr, exception, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_error_matches(exception, nullptr, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_error_matches(exception, exception, nullptr) == PYATTACH_INVALID);
    CHECK(answer == -1);
}

TEST_CASE("the type of an object is its own, whatever its class says") {
    start_python();
    attached here;
    ref liar = eval("type('Liar', (), {'__class__': int})()");
    object *type = nullptr;
    REQUIRE(pyattach_type_of(liar, &type) == PYATTACH_OK);
    CHECK(text_of(ref(type)) == "<class '__main__.Liar'>");
    CHECK(pyattach_type_of(nullptr, &type) == PYATTACH_INVALID);
    CHECK(type == nullptr);
    CHECK(pyattach_type_of(liar, nullptr) == PYATTACH_INVALID);
}

TEST_CASE("is_instance and is_subclass answer as Python does") {
    start_python();
    attached here;
    ref reference = eval("True"), number = eval("int"), text = eval("str"), both = eval("(str, int)"),
        truth = eval("bool");
    int answer = -1;
    CHECK(pyattach_is_instance(reference, number, &answer) == PYATTACH_OK);
    CHECK(answer == 1);
    CHECK(pyattach_is_instance(reference, text, &answer) == PYATTACH_OK);
    CHECK(answer == 0);
    CHECK(pyattach_is_instance(reference, both, &answer) == PYATTACH_OK);
    CHECK(answer == 1);
    CHECK(pyattach_is_subclass(truth, number, &answer) == PYATTACH_OK);
    CHECK(answer == 1);
    CHECK(pyattach_is_subclass(number, truth, &answer) == PYATTACH_OK);
    CHECK(answer == 0);
}

TEST_CASE("asking about what is no type is a TypeError") {
    start_python();
    attached here;
    ref reference = eval("1");
    int answer = -1;
    CHECK(pyattach_is_instance(reference, reference, &answer) == PYATTACH_PYTHON_ERROR);
    CHECK(text_of(take()).find("TypeError(") == 0);
    CHECK(pyattach_is_subclass(reference, reference, &answer) == PYATTACH_PYTHON_ERROR);
    CHECK(text_of(take()).find("TypeError(") == 0);
    CHECK(answer == -1);
    CHECK(pyattach_is_instance(nullptr, reference, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_is_instance(reference, nullptr, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_is_instance(reference, reference, nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_is_subclass(nullptr, reference, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_is_subclass(reference, nullptr, &answer) == PYATTACH_INVALID);
    CHECK(pyattach_is_subclass(reference, reference, nullptr) == PYATTACH_INVALID);
}

TEST_CASE("exceptions and types are refused to threads that are not attached, and while forbidden") {
    start_python();
    ref reference;
    pyattach_status expected = PYATTACH_NOT_ATTACHED;
    object *result = nullptr;
    int answer = -1;
    auto check_all = [&] {
        CHECK(pyattach_error_take(&result) == expected);
        CHECK(pyattach_error_restore(reference) == expected);
        CHECK(pyattach_error_matches(reference, reference, &answer) == expected);
        CHECK(pyattach_type_of(reference, &result) == expected);
        CHECK(pyattach_is_instance(reference, reference, &answer) == expected);
        CHECK(pyattach_is_subclass(reference, reference, &answer) == expected);
        CHECK(result == nullptr);
        CHECK(answer == -1);
    };
    {
        attached here;
        reference = eval("ValueError('x')");
        expected = PYATTACH_FORBIDDEN;
        forbidden traversing;
        check_all();
    }
    expected = PYATTACH_NOT_ATTACHED;
    check_all();
}

TEST_CASE("a report goes to sys.unraisablehook once, and leaves no exception pending") {
    start_python();
    pyattach_error_report(nullptr); // a thread that is not attached
    attached here;
    watch_unraisable();
    pyattach_error_report(nullptr);
    REQUIRE(pyattach_run("raise KeyError('told')", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    {
        forbidden traversing;
        pyattach_error_report(nullptr);
    }
    CHECK(pyattach_error_message(nullptr, 0) != 0);
    pyattach_error_report(nullptr);
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    CHECK(unraisable() == "[\"KeyError('told')\"]");
}
