// The refusals of every call, one row a function.
#include <cstdint>
#include <functional>
#include <vector>

#include "support/pending_exception.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

object *some; // any object
object *result;
int64_t integer;
double number;
int truth;
const char *text;
size_t length;

struct row {
    const char *name;
    std::function<pyattach_status()> works; // on an attached thread
    std::vector<std::function<pyattach_status()>> null_argument, null_place;
};

const std::vector<row> &every_call() {
    static const std::vector<row> rows = {
        {"eval",
         [] { return pyattach_eval("1", nullptr, nullptr, &result); },
         {[] { return pyattach_eval(nullptr, nullptr, nullptr, &result); }},
         {[] { return pyattach_eval("1", nullptr, nullptr, nullptr); }}},
        {"run",
         [] { return pyattach_run("1", nullptr, nullptr); },
         {[] { return pyattach_run(nullptr, nullptr, nullptr); }},
         {}},
        {"import",
         [] { return pyattach_import("sys", &result); },
         {[] { return pyattach_import(nullptr, &result); }},
         {[] { return pyattach_import("sys", nullptr); }}},
        {"check_signals", [] { return pyattach_check_signals(); }, {}, {}},
        {"get_attribute",
         [] { return pyattach_get_attribute(some, "real", &result); },
         {[] { return pyattach_get_attribute(nullptr, "real", &result); },
          [] { return pyattach_get_attribute(some, nullptr, &result); }},
         {[] { return pyattach_get_attribute(some, "real", nullptr); }}},
        {"set_attribute",
         [] { return pyattach_set_attribute(some, "x", some); },
         {[] { return pyattach_set_attribute(nullptr, "x", some); },
          [] { return pyattach_set_attribute(some, nullptr, some); }},
         {}},
        {"call",
         [] { return pyattach_call(some, nullptr, 0, &result); },
         {[] { return pyattach_call(nullptr, nullptr, 0, &result); },
          [] { return pyattach_call(some, nullptr, 1, &result); }},
         {[] { return pyattach_call(some, nullptr, 0, nullptr); }}},
        {"to_int64",
         [] { return pyattach_to_int64(some, &integer); },
         {[] { return pyattach_to_int64(nullptr, &integer); }},
         {[] { return pyattach_to_int64(some, nullptr); }}},
        {"to_double",
         [] { return pyattach_to_double(some, &number); },
         {[] { return pyattach_to_double(nullptr, &number); }},
         {[] { return pyattach_to_double(some, nullptr); }}},
        {"to_bool",
         [] { return pyattach_to_bool(some, &truth); },
         {[] { return pyattach_to_bool(nullptr, &truth); }},
         {[] { return pyattach_to_bool(some, nullptr); }}},
        {"to_utf8",
         [] { return pyattach_to_utf8(some, &text, &length); },
         {[] { return pyattach_to_utf8(nullptr, &text, &length); }},
         {[] { return pyattach_to_utf8(some, nullptr, &length); }}},
        {"to_bytes",
         [] { return pyattach_to_bytes(some, &text, &length); },
         {[] { return pyattach_to_bytes(nullptr, &text, &length); }},
         {[] { return pyattach_to_bytes(some, nullptr, &length); }}},
        {"from_int64", [] { return pyattach_from_int64(1, &result); }, {}, {[] {
             return pyattach_from_int64(1, nullptr);
         }}},
        {"from_double", [] { return pyattach_from_double(1, &result); }, {}, {[] {
             return pyattach_from_double(1, nullptr);
         }}},
        {"from_bool", [] { return pyattach_from_bool(1, &result); }, {}, {[] {
             return pyattach_from_bool(1, nullptr);
         }}},
        {"from_utf8",
         [] { return pyattach_from_utf8("a", 1, &result); },
         {[] { return pyattach_from_utf8(nullptr, 1, &result); },
          [] { return pyattach_from_utf8("a", SIZE_MAX, &result); }},
         {[] { return pyattach_from_utf8("a", 1, nullptr); }}},
        {"from_bytes",
         [] { return pyattach_from_bytes("a", 1, &result); },
         {[] { return pyattach_from_bytes(nullptr, 1, &result); },
          [] { return pyattach_from_bytes("a", SIZE_MAX, &result); }},
         {[] { return pyattach_from_bytes("a", 1, nullptr); }}},
        {"from_finalizer",
         [] { return pyattach_from_finalizer([](void *) {}, nullptr, &result); },
         {[] { return pyattach_from_finalizer(nullptr, nullptr, &result); }},
         {[] { return pyattach_from_finalizer([](void *) {}, nullptr, nullptr); }}},
        {"str", [] { return pyattach_str(some, &result); }, {[] { return pyattach_str(nullptr, &result); }}, {[] {
             return pyattach_str(some, nullptr);
         }}},
        {"repr", [] { return pyattach_repr(some, &result); }, {[] { return pyattach_repr(nullptr, &result); }}, {[] {
             return pyattach_repr(some, nullptr);
         }}},
    };
    return rows;
}

// Checks that a refused call changed nothing that it could change.
void prepare() {
    result = reinterpret_cast<object *>(&result);
    text = "before";
    integer = 77;
    number = 77;
    truth = 77;
}

bool left_no_pointer(const row &tested) {
    std::string name = tested.name;
    bool gives_object = name == "eval" || name == "import" || name == "get_attribute" || name == "call" ||
                        name == "str" || name == "repr" || name.rfind("from_", 0) == 0;
    bool gives_text = name == "to_utf8" || name == "to_bytes";
    return (!gives_object || !result) && (!gives_text || !text);
}

bool left_no_number() { return integer == 77 && number == 77 && truth == 77; }

void check_all_answer(pyattach_status expected) {
    for (const row &tested : every_call()) {
        INFO(tested.name);
        prepare();
        CHECK(tested.works() == expected);
        CHECK(left_no_pointer(tested));
        CHECK(left_no_number());
    }
}

} // namespace

TEST_CASE("no call works on a thread that is not attached") {
    SECTION("before there is a Python") {
        some = reinterpret_cast<object *>(&some);
        check_all_answer(PYATTACH_NOT_ATTACHED);
    }
    SECTION("after its scope has ended") {
        start_python();
        attached here;
        ref kept = new_object();
        some = kept;
        here.end();
        check_all_answer(PYATTACH_NOT_ATTACHED);
    }
    SECTION("in a detached scope") {
        start_python();
        attached here;
        ref kept = new_object();
        some = kept;
        detached gap;
        check_all_answer(PYATTACH_NOT_ATTACHED);
    }
    SECTION("on another thread") {
        start_python();
        attached here;
        ref kept = new_object();
        some = kept;
        run_on_thread([] { check_all_answer(PYATTACH_NOT_ATTACHED); });
    }
}

TEST_CASE("no call works in a forbidden scope") {
    start_python();
    attached here;
    ref kept = new_object();
    some = kept;
    {
        forbidden inside;
        check_all_answer(PYATTACH_FORBIDDEN);
    }
    CHECK(take_error() == "no exception");
}

TEST_CASE("NULL is invalid, on every thread, and raises nothing") {
    start_python();
    auto check_all = [] {
        for (const row &tested : every_call()) {
            INFO(tested.name);
            for (const auto &call : tested.null_argument) {
                prepare();
                CHECK(call() == PYATTACH_INVALID);
                CHECK(left_no_pointer(tested));
                CHECK(left_no_number());
            }
            for (const auto &call : tested.null_place)
                CHECK(call() == PYATTACH_INVALID);
        }
    };
    check_all();
    attached here;
    ref kept = new_object();
    some = kept;
    check_all();
    CHECK(take_error() == "no exception");
    forbidden inside;
    check_all();
}

TEST_CASE("calls that work leave no exception behind") {
    start_python();
    attached here;
    run("class Everything:\n"
        "    real = 1\n"
        "    def __call__(self): pass\n"
        "    def __index__(self): return -1\n"
        "    def __float__(self): return -1.0\n");
    ref kept = eval("Everything()");
    for (const row &tested : every_call()) {
        if (std::string(tested.name) == "to_utf8" || std::string(tested.name) == "to_bytes")
            continue;
        INFO(tested.name);
        prepare();
        some = kept;
        CHECK(tested.works() == PYATTACH_OK);
        if (result != reinterpret_cast<object *>(&result))
            pyattach_decref(result);
        CHECK(take_error() == "no exception");
    }
}
