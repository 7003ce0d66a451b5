// The C++ API: holds.
#include <memory>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::start_python;

static_assert(!std::is_copy_constructible_v<hold> && !std::is_move_constructible_v<hold>);

TEST_CASE("a hold lasts as long as its object, which another thread may destroy") {
    start_python();
    CHECK(hold{});
    CHECK(hold{"label"});
    CHECK(hold{interpreter::main(), "label"});
    auto made = std::make_unique<hold>(std::nothrow, interpreter::main(), "job");
    REQUIRE(*made);
    CHECK(made->status() == PYATTACH_OK);
    support::run_on_thread([&] { made.reset(); });
}

TEST_CASE("a hold that was ended by hand is not open, and its destructor does nothing") {
    start_python();
    hold open{std::nothrow};
    REQUIRE(open);
    open.end();
    CHECK_FALSE(open);
    CHECK(open.status() == PYATTACH_INVALID);
    open.end();
}
