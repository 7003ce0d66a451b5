// The C++ API: functions that run detached, with arguments the compiler looked at. What must not compile is in
// tests/abi.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::start_python;

namespace {

struct vouched_for {
    int number;
};
struct plain {
    int number;
};
struct holder {
    struct _object *object;
};
enum class colour { red };

} // namespace

template <> struct pyattach::detach_safe<vouched_for> : std::true_type {};

namespace {

template <class... T> constexpr bool safe = (detach_safe<T>::value && ...);
template <class... T> constexpr bool refused = (!detach_safe<T>::value && ...);

static_assert(safe<int, const double, bool, char, colour, std::nullptr_t, int (*)(), int plain::*, const char *, void *,
                   plain *, holder *, int[3], const char[4]>);
static_assert(safe<owned, std::vector<owned>, std::pair<owned, int>, std::unique_ptr<owned>, python_error, error, mutex,
                   synchronized<int>, synchronized<owned>>);
static_assert(safe<std::string, std::string_view, std::vector<int>, std::array<int, 2>, std::map<int, std::string>,
                   std::set<std::string>, std::tuple<int, owned, double>, std::tuple<>, std::optional<int>,
                   std::variant<int, std::string>, std::monostate, std::unique_ptr<int[]>, std::shared_ptr<std::string>,
                   std::reference_wrapper<std::vector<int>>, std::atomic<int>, std::mutex, std::chrono::seconds,
                   std::chrono::steady_clock::time_point, vouched_for, std::vector<vouched_for>, const vouched_for>);
static_assert(refused<token, borrowed, arena_token, attached, detached, struct _object *, struct _object *const,
                      const struct _object *, struct _object **, struct _object *const *, struct _typeobject *, token *,
                      borrowed *, const token *, arena_token *, struct _object *[2]>);
static_assert(refused<plain, holder, int &, const int &, int &&, std::function<void()>>);
static_assert(refused<std::vector<struct _object *>, std::array<borrowed, 2>, std::map<int, struct _object *>,
                      std::map<struct _object *, int>, std::pair<int, token>, std::tuple<int, borrowed>,
                      std::tuple<int &>, std::optional<struct _object *>, std::variant<int, borrowed>,
                      std::unique_ptr<holder>, std::unique_ptr<struct _object>, std::shared_ptr<struct _object>,
                      std::reference_wrapper<holder>, std::reference_wrapper<struct _object *>,
                      std::vector<std::vector<struct _object *>>, std::unique_ptr<int, std::function<void(int *)>>,
                      synchronized<struct _object *>, std::atomic<struct _object *>>);

int twice(int number) { return 2 * number; }

int count_letters(const std::string &word, char letter) {
    return static_cast<int>(std::count(word.begin(), word.end(), letter));
}

} // namespace

TEST_CASE("a function runs detached and its result comes back") {
    start_python();
    attached here;
    token py = here.token();
    CHECK(py.detach([] { return pyattach_is_attached(); }) == 0);
    CHECK(pyattach_is_attached());
    CHECK(py.detach(twice, 21) == 42);
    CHECK(py.detach(&twice, 21) == 42);
    py.detach([] {});
}

TEST_CASE("plain data goes in and comes out") {
    start_python();
    attached here;
    token py = here.token();
    std::vector<int> numbers{1, 2, 3};
    auto doubled = py.detach(
        [](std::vector<int> values, const std::string &text, int(&)[2]) {
            values.push_back(static_cast<int>(text.size()));
            return values;
        },
        numbers, "text", std::ref(*[] {
            static int two[2];
            return &two;
        }()));
    CHECK(doubled == std::vector<int>{1, 2, 3, 4});
    CHECK(numbers.size() == 3);
    auto moved = py.detach([](std::unique_ptr<int> number) { return number; }, std::make_unique<int>(7));
    CHECK(*moved == 7);
}

TEST_CASE("std::ref shares what it names, and data borrowed from it stays valid") {
    start_python();
    attached here;
    token py = here.token();
    std::vector<std::string> words{"Flow", "my", "tears"};
    int total = 0;
    py.detach(
        [](const std::vector<std::string> &all, int &sum) {
            for (auto &word : all)
                sum += static_cast<int>(word.size());
        },
        std::cref(words), std::ref(total));
    CHECK(total == 11);
    std::string &longest = py.detach([](auto &all) -> std::string & { return all[2]; }, std::ref(words));
    CHECK(&longest == &words[2]);
}

TEST_CASE("six words are searched in parallel while the thread is detached") {
    start_python();
    attached here;
    std::vector<std::string> words{"Flow", "my", "tears", "the", "Policeman", "Said"};
    int count = here.token().detach(
        [](const std::vector<std::string> &all) {
            std::atomic<int> sum{0};
            std::vector<std::thread> threads;
            for (const std::string &word : all)
                threads.emplace_back([&] { sum += count_letters(word, 'a'); });
            for (auto &thread : threads)
                thread.join();
            return sum.load();
        },
        words);
    CHECK(count == 3);
}

TEST_CASE("an owned goes along, and may be dropped there") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()"), other = object.copy(py);
    owned back = py.detach(
        [](owned first, owned second) {
            second.reset();
            return first;
        },
        object.copy(py), std::move(other));
    CHECK(back.get() == object.get());
    CHECK_FALSE(other);
    CHECK(support::reference_count(object.get()) == 2);
}

TEST_CASE("an exception passes through a detached function, and the thread is attached again") {
    start_python();
    attached here;
    token py = here.token();
    CHECK_THROWS_AS(py.detach([] { throw std::runtime_error("detached"); }), std::runtime_error);
    CHECK(pyattach_is_attached());
    CHECK_THROWS_AS(py.detach_unchecked([]() -> int { throw std::runtime_error("detached"); }), std::runtime_error);
    CHECK(pyattach_is_attached());
}

TEST_CASE("a detached function may attach by itself") {
    start_python();
    attached here;
    int five = here.token().detach([] { return with_attached([](token py) { return py.to<int>(py.eval("5")); }); });
    CHECK(five == 5);
}

TEST_CASE("detach_unchecked takes any closure") {
    start_python();
    attached here;
    token py = here.token();
    int seen = -1;
    std::string text = "kept";
    const std::string &same = py.detach_unchecked([&]() -> const std::string & {
        seen = pyattach_is_attached();
        return text;
    });
    CHECK(seen == 0);
    CHECK(&same == &text);
    CHECK(py.detach_unchecked([moved = std::make_unique<int>(3)] { return *moved; }) == 3);
}

TEST_CASE("the forms told not to throw return the status") {
    start_python();
    attached here;
    token py = here.token();
    int result = 0;
    CHECK(py.detach(
              std::nothrow, [](int &out) { out = pyattach_is_attached() ? 1 : 2; }, std::ref(result)) == PYATTACH_OK);
    CHECK(result == 2);
    CHECK(py.detach_unchecked(std::nothrow, [&] { result = 3; }) == PYATTACH_OK);
    CHECK(result == 3);
    forbidden traversing;
    CHECK(py.detach(
              std::nothrow, [](int &out) { out = 4; }, std::ref(result)) == PYATTACH_FORBIDDEN);
    CHECK(py.detach_unchecked(std::nothrow, [&] { result = 5; }) == PYATTACH_FORBIDDEN);
    CHECK(result == 3);
    CHECK_THROWS_AS(py.detach([] {}), error);
    CHECK_THROWS_AS(py.detach_unchecked([] {}), error);
}
