// The C++ face compiled with -fno-exceptions -fno-rtti: what remains works. No Catch2, which needs both.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "pyattach/pyattach.hpp"
#include "tests_config.hpp"

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this is to be compiled with -fno-exceptions -fno-rtti"
#endif

using namespace pyattach;

#define CHECK(condition)                                                                                               \
    ((condition) ? void() : (std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), std::exit(1)))

namespace {

const char *from_environment(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value && *value ? value : otherwise;
}

void start() {
    CHECK(pyattach_python_load(from_environment("PYATTACH_TEST_LIBPYTHON", TESTS_LIBPYTHON)) == PYATTACH_OK);
    pyattach_start_options options{};
    options.struct_size = sizeof options;
    options.program_name = from_environment("PYATTACH_TEST_PYTHON", TESTS_PYTHON);
    CHECK(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
}

void check_calls(token py) {
    owned list = py.eval(std::nothrow, "[1, 2]");
    CHECK(list);
    CHECK(py.to<int>(std::nothrow, py.call(std::nothrow, py.builtin(std::nothrow, "len"), list)) == 2);
    CHECK(py.run(std::nothrow, "x = 5") == PYATTACH_OK);
    CHECK(py.set_attribute(std::nothrow, py.import(std::nothrow, "__main__"), "y", "text") == PYATTACH_OK);
    CHECK(py.to<std::string>(std::nothrow, py.eval(std::nothrow, "y")) == "text");
    CHECK(py.is_instance(std::nothrow, list, py.builtin(std::nothrow, "list")) == true);
    CHECK(py.cast_unchecked(list).get() == list.get());
    CHECK(!py.from_owned_ptr_or_opt(nullptr) && !py.from_borrowed_ptr_or_opt(nullptr));
}

void check_errors(token py) {
    CHECK(!py.eval(std::nothrow, "1/0"));
    python_error raised{py};
    CHECK(std::strcmp(raised.what(), "ZeroDivisionError: division by zero") == 0);
    CHECK(raised.matches(py.builtin(std::nothrow, "ArithmeticError")));
    raised.restore(py);
    CHECK(pyattach_error_message(nullptr, 0) != 0);
    pyattach_error_clear();
}

void check_locks(token py) {
    mutex lock;
    std::mutex plain;
    { locked held{lock}; }
    synchronized<int> number;
    number.with([](int &it) { it = 3; });
    CHECK(*number.lock() == 3);
    critical_section section{std::nothrow, py, lock};
    CHECK(section);
    once one;
    CHECK(one.run(std::nothrow, [&] { number.with([](int &it) { ++it; }); }) == PYATTACH_OK);
    once_value<int> made;
    CHECK(*made.get_or_make(std::nothrow, [] { return std::optional<int>(4); }) == 4);
    CHECK(lock_detached(std::nothrow, py, plain).owns_lock());
    const std::chrono::hours hour(1);
    CHECK(lock_detached_for(std::nothrow, py, plain, hour).status == PYATTACH_OK);
    CHECK(lock_detached(std::nothrow, plain).owns_lock());
    mutex another; // the section may hold `lock`
    CHECK(std::get<1>(lock_detached(std::nothrow, py, plain, another)).owns_lock());
    recursive_mutex recursive;
    CHECK(recursive.try_lock_for(std::nothrow, hour) == PYATTACH_OK);
    recursive.unlock();
    std::thread thread([] {});
    CHECK(join_detached(std::nothrow, py, thread) == PYATTACH_OK);
    std::thread other([] {});
    CHECK(join_detached_for(std::nothrow, other, hour) == PYATTACH_OK);
    std::promise<void> promise;
    promise.set_value();
    CHECK(wait_detached_for(std::nothrow, py, promise.get_future(), hour) == PYATTACH_OK);
}

struct counted {
    explicit counted(int *given) : count(given) {}
    counted(counted &&other) noexcept : count(std::exchange(other.count, nullptr)) {}
    ~counted() {
        if (count)
            ++*count;
    }
    int *count;
};

void check_owners(token py) {
    owned list = py.eval(std::nothrow, "[1]");
    shared_owned shared(std::nothrow, list.copy(py)), copy = shared;
    CHECK(copy.get() == list.get() && copy.interpreter() == py.interpreter());
    int ended = 0;
    {
        attached_only<counted> only(std::nothrow, py, counted(&ended)), other = only;
        CHECK(other.get(py)->count == &ended);
        std::unique_ptr<int, attached_deleter<int>> number(new int, attached_deleter<int>(std::nothrow, py));
        CHECK(number.get_deleter());
    }
    CHECK(ended == 1);
    callback_function<int(shared_owned)> length(std::nothrow, py, py.builtin(std::nothrow, "len"));
    callback_function<int(int), ignore_errors> fails(std::nothrow, py, py.builtin(std::nothrow, "len"));
    std::function<int(shared_owned)> function = length;
    CHECK(function(shared) == 1 && fails(5) == 0);
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    detached_guard gap;
    CHECK(!pyattach_is_attached() && function(shared) == 1);
}

} // namespace

int main() {
    start();
    owned kept;
    {
        attached here{std::nothrow};
        CHECK(here && here.status() == PYATTACH_OK);
        token py = here.token();
        check_calls(py);
        check_errors(py);
        check_locks(py);
        check_owners(py);
        {
            detached gap{std::nothrow, py};
            CHECK(gap && !pyattach_is_attached());
        }
        int state = -1;
        CHECK(py.detach(
                  std::nothrow, [](int &out) { out = pyattach_is_attached(); }, std::ref(state)) == PYATTACH_OK);
        CHECK(state == 0);
        CHECK(with_attached(std::nothrow, [&](token inner) { kept = inner.eval(std::nothrow, "object()"); }) ==
              PYATTACH_OK);
        arena pool{py};
        CHECK(pool.keep(std::nothrow, kept.copy(py)) && pool.size() == 1);
        CHECK(during_traverse([] { return pyattach_is_forbidden(); }) == 1);
    }
    kept.reset();
    CHECK(pyattach_interpreter_stop() == PYATTACH_OK);
    CHECK(!attached(std::nothrow));
    return 0;
}
