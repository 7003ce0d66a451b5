// The C++ API: once, and values made once.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::reference_count;
using support::start_python;
using support::task;

static_assert(!std::is_copy_constructible_v<once> && !std::is_move_constructible_v<once>);
static_assert(std::is_trivially_destructible_v<once>);

namespace {

once constant_initialized;
once_value<int> constant_value;

} // namespace

TEST_CASE("a once runs its function once") {
    int runs = 0;
    for (int i = 0; i < 3; ++i)
        constant_initialized.run([&] { ++runs; });
    CHECK(constant_initialized.run(std::nothrow, [&] { ++runs; }) == PYATTACH_OK);
    CHECK(runs == 1);
}

TEST_CASE("a function that throws or fails leaves the once undone, and the next one tries") {
    once once_flag;
    int tries = 0;
    for (int i = 0; i < 2; ++i)
        CHECK_THROWS_WITH(once_flag.run([&] {
            ++tries;
            throw std::runtime_error("try again");
        }),
                          "try again");
    auto fail = [&]() {
        ++tries;
        return PYATTACH_NO_MEMORY;
    };
    CHECK_THROWS_AS(once_flag.run(fail), error);
    CHECK(once_flag.run(std::nothrow, fail) == PYATTACH_NO_MEMORY);
    once_flag.run([&] {
        ++tries;
        return PYATTACH_OK;
    });
    once_flag.run([&] { ++tries; });
    CHECK(tries == 5);
}

TEST_CASE("eight attached threads run one initializer, which calls Python, detaches and attaches elsewhere") {
    start_python();
    once once_flag;
    std::atomic<int> runs{0};
    support::barrier start("eight threads to start", 8);
    std::vector<std::unique_ptr<task>> threads;
    for (int i = 0; i < 8; ++i)
        threads.push_back(std::make_unique<task>("a thread that wants it initialized", [&] {
            attached here;
            token py = here.token();
            py.detach_unchecked([&] { start.arrive_and_wait(); });
            once_flag.run([&] {
                ++runs;
                py.run("once_words = ['python']");
                py.detach_unchecked([] {
                    support::run_on_thread([] {
                        attached there;
                        there.token().run("once_words.append('elsewhere')");
                    });
                });
            });
            EXPECT(py.to<std::string>(py.eval("' '.join(once_words)")) == "python elsewhere");
        }));
    for (auto &thread : threads)
        thread->join();
    CHECK(runs == 1);
}

TEST_CASE("a Python exception in an initializer comes out as itself") {
    start_python();
    attached here;
    once once_flag;
    CHECK_THROWS_WITH(once_flag.run([&] { here.token().run("1/0"); }), "ZeroDivisionError: division by zero");
    CHECK(pyattach_error_message(nullptr, 0) == 0);
}

TEST_CASE("a once value is empty at first, and the first success makes it") {
    CHECK(constant_value.get() == nullptr);
    CHECK_THROWS_AS(constant_value.get_or_make([]() -> int { throw std::runtime_error("not yet"); }),
                    std::runtime_error);
    CHECK(constant_value.get() == nullptr);
    CHECK(constant_value.get_or_make(std::nothrow, [] { return std::optional<int>(); }) == nullptr);
    CHECK(constant_value.get() == nullptr);
    CHECK(constant_value.get_or_make([] { return 5; }) == 5);
    CHECK(constant_value.get_or_make([] { return 6; }) == 5);
    CHECK(*constant_value.get_or_make(std::nothrow, [] { return std::optional<int>(7); }) == 5);
    CHECK_FALSE(constant_value.set(8));
    CHECK(*constant_value.get() == 5);
    const once_value<int> &constant = constant_value;
    CHECK(*constant.get() == 5);
}

TEST_CASE("a once value can be set, taken out, and made again") {
    once_value<std::string> text;
    CHECK_FALSE(text.take().has_value());
    CHECK(text.set("first"));
    CHECK(text.take() == "first");
    CHECK(text.get() == nullptr);
    CHECK(*text.get_or_make(std::nothrow, [] { return std::optional<std::string>("second"); }) == "second");
}

TEST_CASE("the value of a once value is released exactly once") {
    start_python();
    attached here;
    token py = here.token();
    owned object = py.eval("object()");
    {
        once_value<owned> kept, empty;
        CHECK(kept.get_or_make([&] { return object.copy(py); }).get() == object.get());
        CHECK(reference_count(object.get()) == 2);
        CHECK(kept.take()->get() == object.get());
        CHECK(reference_count(object.get()) == 1);
        CHECK(kept.set(object.copy(py)));
        CHECK_FALSE(kept.set(object.copy(py)));
        CHECK(reference_count(object.get()) == 2);
    }
    CHECK(reference_count(object.get()) == 1);
}

TEST_CASE("eight threads see the value that one of them made") {
    start_python();
    once_value<owned> module;
    std::atomic<int> made{0};
    std::vector<std::unique_ptr<task>> threads;
    for (int i = 0; i < 8; ++i)
        threads.push_back(std::make_unique<task>("a thread that wants the value", [&] {
            attached here;
            token py = here.token();
            owned &found = module.get_or_make([&] {
                ++made;
                return py.import("json");
            });
            EXPECT(py.to<std::string>(py.get_attribute(found, "__name__")) == "json");
        }));
    for (auto &thread : threads)
        thread->join();
    CHECK(made == 1);
}
