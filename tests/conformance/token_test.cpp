// Group 12: the old `Python` struct, whose counterparts are methods of the token.
#include "conformance/conformance.hpp"

#include <csignal>
#include <fstream>
#include <unistd.h>

namespace {

using pyattach::owned;
using pyattach::token;

// Each test with a token of its own.
template <class Function> void attached_with_token(Function function) {
    start_python();
    pyattach::attached here;
    function(here.token());
}

void check_eval(token py) {
    CHECK(py.to<int>(py.eval("5")) == 5);
    CHECK(py.to<std::string>(py.str(py.eval("[i * 10 for i in range(5)]"))) == "[0, 10, 20, 30, 40]");
    owned globals = py.eval("{'given': 7}"), locals = py.eval("{'also': 8}");
    CHECK(py.to<int>(py.eval("given", globals)) == 7);
    CHECK(py.to<int>(py.eval("given + also", globals, locals)) == 15);
    CHECK_THROWS_WITH(py.eval("also", globals), Catch::Matchers::StartsWith("NameError"));
    CHECK_THROWS_WITH(py.eval(std::string("1\0+ 1", 5)), Catch::Matchers::StartsWith("ValueError"));
}

long resident_pages() {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident;
}

} // namespace

TEST_CASE("PyO3 test_eval") { attached_with_token(check_eval); }
TEST_CASE("PyO3 v0.12 test_eval") {
    attached_with_token([](token py) {
        owned locals = py.eval("{}");
        py.set_attribute(py.import("__main__"), "outside", 6);
        CHECK(py.to<int>(py.eval("outside * 7", nullptr, locals)) == 42);
        CHECK(py.to<int>(py.eval("min(1, 2)")) == 1);
        py.run("del outside");
    });
}
TEST_CASE("PyO3 v0.12 doc eval") {
    attached_with_token([](token py) {
        check_eval(py);
        // Nor does a code object stay behind: it would be several blocks each time.
        owned blocks = py.get_attribute(py.import("sys"), "getallocatedblocks");
        for (int i = 0; i < 100; ++i)
            py.eval("[i * 10 for i in range(5)]");
        auto count = [&] { // without a GIL, code objects are left to the collector
            py.run("__import__('gc').collect()");
            return py.to<long>(py.call(blocks));
        };
        long before = count();
        for (int i = 0; i < 2000; ++i)
            py.eval("[i * 10 for i in range(5)]");
        CHECK(count() - before < 1000);
    });
}

TEST_CASE("PyO3 v0.12 doc run") {
    attached_with_token([](token py) {
        owned locals = py.eval("{}");
        py.run("import base64\n"
               "s = 'Hello Rust!'\n"
               "ret = base64.b64encode(s.encode('utf-8'))\n",
               nullptr, locals);
        owned result = py.call_method(locals, "get", "ret");
        CHECK(py.to_bytes(result) == "SGVsbG8gUnVzdCE=");
        CHECK_THROWS_WITH(py.eval("ret"), Catch::Matchers::StartsWith("NameError"));
    });
}

TEST_CASE("PyO3 test_py_run_inserts_globals") {
    attached_with_token([](token py) {
        owned globals = py.eval("{}");
        py.run("import math\nsize = len([1, 2, 3])", globals);
        CHECK(py.to<int>(py.call_method(globals, "get", "size")) == 3);
        CHECK(py.to<bool>(py.call_method(globals, "__contains__", "__builtins__")));
        CHECK(py.to<bool>(py.call_method(globals, "__contains__", "math")));
    });
}
TEST_CASE("PyO3 test_py_run_inserts_globals_2") {
    attached_with_token([](token py) {
        owned globals = py.eval("{'__builtins__': {'only': 1}}");
        py.run("seen = only", globals);
        CHECK(py.to<int>(py.call_method(globals, "get", "seen")) == 1);
        CHECK(py.to<int>(py.eval("len(__builtins__)", py.eval("{'__builtins__': {'len': len}}"))) == 1);
        CHECK_THROWS_WITH(py.eval("len", globals), Catch::Matchers::StartsWith("NameError")); // not put in twice
    });
}

TEST_CASE("PyO3 test_ellipsis") {
    attached_with_token([](token py) {
        CHECK(py.Ellipsis().get() == py.eval("...").get());
        CHECK(py.None().get() == py.eval("None").get());
        CHECK(py.NotImplemented().get() == py.eval("NotImplemented").get());
    });
}

TEST_CASE("PyO3 v0.12 test_is_instance") {
    attached_with_token([](token py) {
        CHECK(py.is_instance(py.eval("True"), py.builtin("bool")));
        CHECK_FALSE(py.is_instance(py.eval("[1, 2, 3, 4]"), py.builtin("bool")));
        CHECK(py.is_instance(py.eval("True"), py.eval("(str, int)")));
        CHECK_THROWS_WITH(py.is_instance(py.eval("1"), py.eval("1")), Catch::Matchers::StartsWith("TypeError"));
    });
}
TEST_CASE("PyO3 v0.12 test_is_subclass") {
    attached_with_token([](token py) {
        CHECK(py.is_subclass(py.builtin("bool"), py.builtin("int")));
        CHECK_FALSE(py.is_subclass(py.builtin("bool"), py.builtin("list")));
        CHECK_THROWS_WITH(py.is_subclass(py.eval("1"), py.builtin("int")), Catch::Matchers::StartsWith("TypeError"));
    });
}

TEST_CASE("PyO3 v0.12 test_owned") {
    attached_with_token([](token py) {
        owned object = py.eval("object()");
        {
            pyattach::arena pool{py};
            pool.keep(object.copy(py));
            CHECK(pool.size() == 1);
            CHECK(reference_count(object.get()) == 2);
        }
        CHECK(reference_count(object.get()) == 1);
    });
}
TEST_CASE("PyO3 v0.12 test_owned_nested") {
    attached_with_token([](token py) {
        owned object = py.eval("object()");
        {
            pyattach::arena outer{py};
            outer.keep(object.copy(py));
            {
                pyattach::arena inner{py};
                inner.keep(object.copy(py));
                CHECK(reference_count(object.get()) == 3);
            }
            CHECK(reference_count(object.get()) == 2);
        }
        CHECK(reference_count(object.get()) == 1);
    });
}

TEST_CASE("PyO3 v0.12 doc new_pool") {
    attached_with_token([](token py) {
        owned make = py.eval("bytes");
        auto round = [&] {
            pyattach::arena pool{py};
            pyattach::borrowed block = pool.keep(py.call(make, 4096));
            CHECK(block.get());
        };
        for (int i = 0; i < 1000; ++i)
            round();
        long before = resident_pages();
        for (int i = 0; i < 20000; ++i)
            round(); // 80 MB, were they kept
        CHECK((!is_memory_telling || (resident_pages() - before) * sysconf(_SC_PAGESIZE) < 16 << 20));
    });
}

TEST_CASE("PyO3 v0.12 docs from_owned_ptr and its kin") {
    attached_with_token([](token py) {
        owned kept = py.eval("object()");
        auto count = [&] { return reference_count(kept.get()); };
        auto new_reference = [&] { return kept.copy(py).release(); };
        {
            pyattach::arena pool{py};
            CHECK(pool.from_owned_ptr(new_reference()).get() == kept.get());
            CHECK(pool.from_owned_ptr_or_err(new_reference()).get() == kept.get());
            CHECK(pool.from_owned_ptr_or_opt(new_reference()).value().get() == kept.get());
            CHECK(count() == 4);
            CHECK(pool.from_borrowed_ptr(kept.get()).get() == kept.get());
            CHECK(pool.from_borrowed_ptr_or_err(kept.get()).get() == kept.get());
            CHECK(pool.from_borrowed_ptr_or_opt(kept.get()).value().get() == kept.get());
            CHECK(count() == 4);
            CHECK_FALSE(pool.from_owned_ptr_or_opt(nullptr).has_value());
            CHECK_FALSE(pool.from_borrowed_ptr_or_opt(nullptr).has_value());
            CHECK_THROWS_AS(pool.from_owned_ptr(nullptr), pyattach::python_error);
            CHECK_THROWS_AS(pool.from_owned_ptr_or_err(nullptr), pyattach::python_error);
            CHECK_THROWS_AS(pool.from_borrowed_ptr(nullptr), pyattach::python_error);
            CHECK_THROWS_AS(pool.from_borrowed_ptr_or_err(nullptr), pyattach::python_error);
        }
        CHECK(count() == 1); // the arena gave back what it was given, and no more
        CHECK(py.checked_cast(kept, py.builtin("object")).get() == kept.get());
        CHECK_THROWS_AS(py.checked_cast(kept, py.builtin("int")), pyattach::cast_error);
        CHECK(py.cast_unchecked(kept).get() == kept.get());
        py.xdecref(new_reference());
        py.xdecref(nullptr);
        object *released = kept.copy(py).release();
        CHECK(count() == 2);
        pyattach_decref(released);
        CHECK(count() == 1);
        CHECK(py.get_type(kept).get() == py.builtin("object").get());
        CHECK(py.get_type<int>().get() == py.builtin("int").get());
        CHECK(py.import("os.path").get() == py.eval("__import__('os').path").get());
        CHECK_THROWS_WITH(py.import("no_such_module"), Catch::Matchers::StartsWith("ModuleNotFoundError"));
    });
}

TEST_CASE("PyO3 v0.12 doc check_signals") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    py.run("import signal\n"
           "def handle(number, frame): raise InterruptedError('handled')\n"
           "former = signal.signal(signal.SIGUSR1, handle)\n");
    raise(SIGUSR1);
    {
        // Off the main thread nothing happens.
        pyattach::detached gap{py};
        run_on_thread([] {
            pyattach::attached there;
            CHECK_NOTHROW(there.token().check_signals());
        });
    }
    CHECK_THROWS_WITH(py.check_signals(), Catch::Matchers::StartsWith("InterruptedError: handled"));
    CHECK_NOTHROW(py.check_signals());
    py.run("signal.signal(signal.SIGUSR1, former)");
}
