// A thread that makes any call of the library at any time: calls of Python, conversions and exceptions.
#include "fuzz/machine.hpp"

#include <cstring>

#include "support/expect.hpp"

namespace fuzz {

// A call that succeeds on an attached thread.
void machine::expect_result(pyattach_status status, object *result) {
    EXPECT(status == expected());
    EXPECT((status == PYATTACH_OK) == (result != nullptr));
    if (result)
        drop(result);
}

// One that raises on an attached thread.
void machine::expect_raised(pyattach_status status) {
    EXPECT(status == (expected() == PYATTACH_OK ? PYATTACH_PYTHON_ERROR : expected()));
    raised_ = raised_ || expected() == PYATTACH_OK;
}

void machine::expect_invalid() {
    object *result = world_.probe;
    int truth;
    EXPECT(pyattach_eval(nullptr, nullptr, nullptr, &result) == PYATTACH_INVALID && !result);
    EXPECT(pyattach_eval("1", nullptr, nullptr, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_run(nullptr, nullptr, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_import(nullptr, &result) == PYATTACH_INVALID);
    EXPECT(pyattach_get_attribute(nullptr, "number", &result) == PYATTACH_INVALID);
    EXPECT(pyattach_set_attribute(world_.probe, nullptr, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_call(world_.probe, nullptr, 1, &result) == PYATTACH_INVALID);
    EXPECT(pyattach_to_int64(world_.number, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_to_bytes(nullptr, nullptr, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_from_utf8(nullptr, 1, &result) == PYATTACH_INVALID);
    EXPECT(pyattach_str(nullptr, &result) == PYATTACH_INVALID);
    EXPECT(pyattach_type_of(world_.probe, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_is_instance(world_.probe, nullptr, &truth) == PYATTACH_INVALID);
    EXPECT(pyattach_error_take(nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_error_restore(nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_error_matches(world_.failure, world_.kind, nullptr) == PYATTACH_INVALID);
}

void machine::call() {
    // With an exception pending nothing that runs Python code may be called.
    if (raised_ && expected() == PYATTACH_OK)
        return errors();
    object *result = nullptr;
    object *arguments[] = {world_.number, world_.text};
    pyattach_status status;
    switch (from_.below(8)) {
    case 0:
        note("eval");
        status = pyattach_eval("1 + 1", nullptr, nullptr, &result);
        return expect_result(status, result);
    case 1:
        note("run");
        EXPECT(pyattach_run("pass", nullptr, nullptr) == expected());
        return;
    case 2:
        note("import");
        status = pyattach_import("sys", &result);
        return expect_result(status, result);
    case 3:
        note("check_signals");
        EXPECT(pyattach_check_signals() == expected());
        return;
    case 4:
        note("get_attribute");
        status = pyattach_get_attribute(world_.probe, "number", &result);
        return expect_result(status, result);
    case 5:
        note("set_attribute");
        EXPECT(pyattach_set_attribute(world_.probe, "other", world_.number) == expected());
        return;
    case 6:
        note("call");
        status = pyattach_call(world_.probe, arguments, 2, &result);
        return expect_result(status, result);
    default:
        note("eval that raises");
        status = pyattach_eval("1 / 0", nullptr, nullptr, &result);
        EXPECT(!result);
        return expect_raised(status);
    }
}

void machine::convert() {
    if (raised_ && expected() == PYATTACH_OK)
        return errors();
    note("conversion");
    const bool is_ok = expected() == PYATTACH_OK;
    object *result = nullptr;
    const char *text = nullptr;
    size_t size = 0;
    int64_t integer = 0;
    double real = 0;
    int truth = -1;
    pyattach_status status;
    switch (from_.below(16)) {
    case 0:
        EXPECT(pyattach_to_int64(world_.number, &integer) == expected());
        EXPECT(!is_ok || integer == 7);
        return;
    case 1:
        EXPECT(pyattach_to_double(world_.number, &real) == expected());
        EXPECT(!is_ok || real == 7);
        return;
    case 2:
        EXPECT(pyattach_to_bool(world_.probe, &truth) == expected());
        EXPECT(!is_ok || truth == 1);
        return;
    case 3:
        EXPECT(pyattach_to_utf8(world_.text, &text, &size) == expected());
        EXPECT(!is_ok || (size == 5 && std::strcmp(text, "seven") == 0));
        return;
    case 4:
        EXPECT(pyattach_to_bytes(world_.data, &text, &size) == expected());
        EXPECT(!is_ok || (size == 5 && std::memcmp(text, "seven", 5) == 0));
        return;
    case 5:
        return expect_raised(pyattach_to_int64(world_.text, &integer));
    case 6:
        return expect_raised(pyattach_to_utf8(world_.data, &text, &size));
    case 7:
        status = pyattach_from_int64(1 << 20, &result);
        return expect_result(status, result);
    case 8:
        status = pyattach_from_double(1.5, &result);
        return expect_result(status, result);
    case 9:
        status = pyattach_from_utf8("text", 4, &result);
        return expect_result(status, result);
    case 10:
        status = pyattach_from_bytes("data", 4, &result);
        return expect_result(status, result);
    case 11:
        status = pyattach_repr(world_.text, &result);
        return expect_result(status, result);
    case 12:
        EXPECT(pyattach_is_instance(world_.probe, world_.type, &truth) == expected());
        EXPECT(!is_ok || truth == 1);
        status = pyattach_type_of(world_.probe, &result);
        EXPECT(!is_ok || result == world_.type);
        return expect_result(status, result);
    case 13:
        EXPECT(pyattach_is_subclass(world_.type, world_.type, &truth) == expected());
        EXPECT(!is_ok || truth == 1);
        return;
    case 14:
        status = pyattach_from_bool(1, &result);
        return expect_result(status, result);
    default:
        expect_invalid();
    }
}

void machine::errors() {
    const bool is_ok = expected() == PYATTACH_OK;
    object *taken = nullptr;
    int answer = -1;
    char text[64];
    switch (from_.below(7)) {
    case 6:
        note("error_report");
        pyattach_error_report(from_.below(2) ? world_.probe : nullptr);
        counted_.unraisable += raised_ && is_ok;
        raised_ = raised_ && !is_ok;
        return;
    case 0:
        note("error_message");
        *text = '\0';
        EXPECT_SENTENCE((pyattach_error_message(text, 1 + from_.below(sizeof text)) > 0) == (raised_ && is_ok),
                        std::string(raised_ && is_ok ? "no exception is pending" : "an exception is pending: ") + text);
        return;
    case 1:
        note("error_clear");
        pyattach_error_clear();
        raised_ = raised_ && !is_ok;
        return;
    case 2:
        note("error_take");
        EXPECT(pyattach_error_take(&taken) == expected());
        EXPECT((taken != nullptr) == (raised_ && is_ok));
        if (taken)
            drop(taken);
        raised_ = raised_ && !is_ok;
        return;
    case 3:
        note("error_restore");
        EXPECT(pyattach_error_restore(world_.failure) == expected());
        raised_ = raised_ || is_ok;
        return;
    case 4:
        note("error_restore of something else");
        EXPECT(pyattach_error_restore(world_.number) == (is_ok ? PYATTACH_INVALID : expected()));
        return;
    default:
        note("error_matches");
        EXPECT(pyattach_error_matches(world_.failure, world_.kind, &answer) == expected());
        EXPECT(!is_ok || answer == 1);
    }
}

} // namespace fuzz
