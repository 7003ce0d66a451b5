// The C++ API: forbidden scopes.
#include <stdexcept>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"

using namespace pyattach;
using support::start_python;

static_assert(!std::is_copy_constructible_v<forbidden> && !std::is_move_constructible_v<forbidden>);

TEST_CASE("a forbidden scope forbids for the life of a block, and nests") {
    start_python();
    attached here;
    CHECK_FALSE(pyattach_is_forbidden());
    {
        forbidden traversing;
        {
            forbidden deeper;
            CHECK(pyattach_is_forbidden());
        }
        CHECK(pyattach_is_forbidden());
        CHECK_FALSE(pyattach_is_attached());
    }
    CHECK_FALSE(pyattach_is_forbidden());
    CHECK(pyattach_is_attached());
}

TEST_CASE("during_traverse returns what the visit returns") {
    start_python();
    attached here;
    CHECK(during_traverse([] { return pyattach_is_forbidden(); }) == 1);
    CHECK(during_traverse([] { return 42; }) == 42);
    CHECK_FALSE(pyattach_is_forbidden());
}

TEST_CASE("an exception in a traverse function becomes -1") {
    start_python();
    attached here;
    CHECK(during_traverse([]() -> int { throw std::runtime_error("while traversing"); }) == -1);
    CHECK_FALSE(pyattach_is_forbidden());
}

TEST_CASE("an owned dropped while traversing waits in the pool, and none can be made") {
    start_python();
    attached here;
    token py = here.token();
    owned kept = py.eval("object()");
    owned second = kept.copy(py);
    during_traverse([&] {
        second.reset();
        CHECK_FALSE(kept.copy(py));
        return 0;
    });
    CHECK(pyattach_pool_size() == 1);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(support::reference_count(kept.get()) == 1);
}
