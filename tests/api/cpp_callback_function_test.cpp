// The C++ API: callback_function, a Python callable that any thread may call.
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"
#include "support/unraisable.hpp"

using namespace pyattach;
using support::latch;
using support::run_on_thread;
using support::start_python;
using support::task;

namespace {

template <class Signature, class Policy = report_errors> callback_function<Signature, Policy> make(const char *code) {
    attached here;
    return callback_function<Signature, Policy>{here.token(), here.token().eval(code)};
}

// Notes what it is told.
struct noting {
    std::string *said;
    void on_exception(token py, object_arg callable) const {
        python_error raised{py};
        *said += std::string(raised.what()) + (callable.get() ? " in a callable;" : ";");
    }
    void on_refusal(pyattach_status status) const { *said += "refused with " + std::to_string(status) + ";"; }
};

struct no_default {
    explicit no_default(int given) : number(given) {}
    int number;
};

} // namespace

static_assert(std::is_convertible_v<callback_function<int(std::string)>, std::function<int(std::string)>>);
static_assert(std::is_nothrow_move_constructible_v<callback_function<void()>> &&
              std::is_copy_constructible_v<callback_function<void()>>);
static_assert(sizeof(callback_function<void()>) == 2 * sizeof(void *), "an empty policy takes no room");
static_assert(detach_safe<callback_function<void(int)>>::value);

TEST_CASE("a callback_function converts arguments and result") {
    start_python();
    auto text = make<std::string(int, double, const char *, const std::string &, bool)>("lambda *all: repr(all)");
    CHECK(text(1, 2.5, "three", "four", true) == "(1, 2.5, 'three', 'four', True)");
    auto nothing = make<void()>("lambda: 7");
    nothing();
    auto object = make<owned(const owned &, shared_owned)>("lambda a, b: [a, b]");
    owned argument;
    {
        attached here;
        argument = here.token().eval("object()");
    }
    owned list = object(argument, shared_owned());
    CHECK_FALSE(list); // a NULL argument is refused, and the policy reports nothing
    auto same = make<shared_owned(const owned &)>("lambda a: a");
    CHECK(same(argument).get() == argument.get());
    CHECK_FALSE(pyattach_is_attached());
}

TEST_CASE("a callback_function works on threads in any state") {
    start_python();
    std::function<int(int)> twice = make<int(int)>("lambda n: 2 * n");
    CHECK(run_on_thread([&] { return twice(21); }) == 42);
    attached here;
    CHECK(twice(4) == 8);
    {
        detached gap{here.token()};
        CHECK(twice(5) == 10);
        CHECK_FALSE(pyattach_is_attached());
    }
    CHECK(pyattach_attach_depth() == 1);
}

TEST_CASE("an empty callback_function is refused as invalid") {
    start_python();
    std::string said;
    callback_function<int(int)> empty;
    CHECK_FALSE(empty);
    CHECK_FALSE(empty.callable());
    CHECK(empty(3) == 0);
    CHECK_THROWS_AS((callback_function<void(), throw_errors>()()), error);
    callback_function<void(), noting> notes(shared_owned(), nullptr, noting{&said});
    notes();
    CHECK(said == "refused with 10;");
    CHECK(notes.policy().said == &said);
}

TEST_CASE("an exception goes to the policy, and Result() to the caller") {
    start_python();
    auto reported = make<int(int)>("lambda n: [1][n]");
    auto ignored = make<std::string(), ignore_errors>("lambda: {}['missing']");
    auto thrown = make<void(), throw_errors>("lambda: {}['missing']");
    {
        attached here;
        support::watch_unraisable();
        CHECK(reported(0) == 1);
        CHECK(reported(5) == 0);
    }
    CHECK(reported(5) == 0); // on the way from a detached thread, too
    CHECK(ignored().empty());
    CHECK_THROWS_WITH(thrown(), "KeyError: 'missing'");
    CHECK_FALSE(pyattach_is_attached());
    attached here;
    CHECK_THROWS_AS(thrown(), python_error);
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    CHECK(support::unraisable() ==
          "[\"IndexError('list index out of range')\", \"IndexError('list index out of range')\"]");
}

TEST_CASE("the report of an exception names the callable") {
    start_python();
    auto fails = make<void()>("[].pop");
    attached here;
    support::run("import sys\nnamed = []\nsys.unraisablehook = lambda what: named.append(what.object)");
    fails();
    support::run("sys.unraisablehook = sys.__unraisablehook__");
    CHECK(support::eval_text("named[0].__name__") == "pop");
    support::run("del named");
}

TEST_CASE("what cannot be called or converted is an exception like any other") {
    start_python();
    std::string said;
    {
        attached here;
        token py = here.token();
        callback_function<void(), noting>{py, py.eval("5"), noting{&said}}();
        callback_function<int(), noting>{py, py.eval("lambda: 'text'"), noting{&said}}();
        callback_function<std::string(), noting>{py, py.eval("lambda: 5"), noting{&said}}();
    }
    CHECK(said.find("TypeError: 'int' object is not callable in a callable;TypeError: ") == 0);
    CHECK(said.find("refused") == std::string::npos);
    CHECK((make<std::string(), throw_errors>("str")() == ""));
}

TEST_CASE("a caller of one's own converts, and a result needs no default constructor then") {
    start_python();
    attached here;
    token py = here.token();
    using function = callback_function<no_default(int &, std::vector<int>), throw_errors>;
    function both(
        py.eval("sum"), +[](token inner, struct _object *callable, call_result<no_default> &result, int &first,
                            std::vector<int> &&all) {
            owned list = inner.eval("[]");
            for (int number : all)
                inner.call_method(list, "append", number);
            all.clear();
            ++first;
            result.set(no_default(inner.to<int>(inner.call(callable, list))));
            return PYATTACH_OK;
        });
    int first = 1;
    CHECK(both(first, {1, 2, 3}).number == 6);
    CHECK(first == 2);
}

TEST_CASE("many threads call one callback_function at once") {
    start_python();
    {
        attached here;
        here.token().run("import threading\ncounted = {}\n"
                         "def count(n):\n    counted[threading.get_ident()] = n\n    return n");
    }
    auto count = make<int(int), throw_errors>("count");
    support::run_on_threads(8, "threads that call back", [&](int number) {
        std::function<int(int)> own = count;
        for (int i = 0; i < 200; ++i)
            EXPECT(own(1000 * number + i) == 1000 * number + i);
    });
    attached here;
    CHECK(support::eval_int("len(counted)") >= 1);
    CHECK(support::eval_true("all(n % 1000 == 199 for n in counted.values())"));
}

TEST_CASE("a callback_function attaches to the interpreter of its callable") {
    start_python();
    attached here;
    support::sub_interpreter other;
    std::optional<callback_function<bool()>> inside;
    {
        attached there{other.handle()};
        there.token().run("mine = True");
        inside.emplace(there.token(), there.token().eval("lambda: mine"));
    }
    CHECK((*inside)());
    CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
    inside.reset();
    attached there{other.handle()};
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
}

TEST_CASE("copies count no reference, and may be dropped anywhere") {
    start_python();
    auto function = make<int()>("type('Callable', (), {'__call__': lambda self: 1})()");
    struct _object *callable = function.callable().get();
    std::vector<std::function<int()>> many(10, function);
    {
        attached here;
        CHECK(support::reference_count(callable) == 1);
    }
    run_on_thread([&] { many.clear(); });
    CHECK(pyattach_pool_size() == 0);
    CHECK(function() == 1);
}

CHILD("calls back after the end of Python") {
    start_python();
    static std::string said;
    auto reported = make<int()>("lambda: 1");
    auto ignored = make<std::string(), ignore_errors>("lambda: 'x'");
    auto thrown = make<void(), throw_errors>("lambda: 1");
    std::optional<callback_function<void(), noting>> noted;
    {
        attached here;
        noted.emplace(here.token(), here.token().eval("print"), noting{&said});
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    auto call_all = [&] {
        EXPECT(reported() == 0);
        EXPECT(ignored() == "");
        try {
            thrown();
            support::fail(__FILE__, __LINE__, "did not throw");
        } catch (const python_error &) {
            throw;
        } catch (const error &refused) {
            EXPECT(refused.status() == PYATTACH_FINALIZING);
        }
        said.clear();
        (*noted)();
        EXPECT(said == "refused with " + std::to_string(PYATTACH_FINALIZING) + ";");
    };
    call_all();
    run_on_thread(call_all);
    const auto leaked = support::all_counters().drops_leaked;
    noted.reset();
    EXPECT(support::all_counters().drops_leaked == leaked + 1);
}
TEST_CASE("after Python has ended each policy is told, and nothing is called") {
    support::check_succeeds("calls back after the end of Python");
}

CHILD("calls back without a pause while Python ends") {
    start_python();
    auto *count = new callback_function<int(int)>(make<int(int)>("lambda n: n + 1"));
    auto *started = new latch("threads to call", 4);
    static std::atomic<int> refused;
    std::vector<task *> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(new task("a thread that calls back", [=] {
            std::function<int(int)> own = *count;
            own(0);
            started->count_down();
            while (own(1) == 2) {
            }
            ++refused;
        }));
    started->wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    for (task *each : tasks)
        each->join();
    EXPECT(refused == 4);
}
TEST_CASE("threads that call back while Python ends get the value of a refusal, and return") {
    support::check_succeeds("calls back without a pause while Python ends");
}
