// Housekeeping in slices: the housekeeper detaches between them, and comes back for the interpreters it has not
// reached.
#include "support/catch.hpp"
#include "support/housekeeping.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <memory>
#include <vector>

using namespace support;

TEST_CASE("the housekeeping thread detaches after 512 references at the latest") {
    constexpr int references = 5120;
    start_python();
    attached here;
    ref object = new_object();
    for (int i = 0; i < references; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    detached gap;
    for (int i = 0; i < references; ++i)
        pyattach_decref(object); // housekeeping is off
    const std::uint64_t released = released_from_pools(), attaches = all_counters().attaches;
    {
        housekeeping on(0);
        wait_until("what waits to be released", [&] { return released_from_pools() >= released + references; });
    }
    CHECK(all_counters().attaches - attaches >= references / 512);
}

TEST_CASE("more interpreters than the housekeeping thread serves in a round are all served") {
    constexpr int many = 40;
    start_python();
    housekeeping on;
    attached here;
    std::vector<std::unique_ptr<sub_interpreter>> all;
    const std::uint64_t released = released_from_pools();
    for (int i = 0; i < many; ++i) {
        all.push_back(std::make_unique<sub_interpreter>());
        object *made = nullptr;
        all.back()->inside([&made] { made = new_object().release(); });
        pyattach_interpreter *const handle = all.back()->handle(); // switches to it
        detached gap;
        run_on_thread([handle, made] { pyattach_decref_in(handle, made); });
    }
    {
        detached gap;
        wait_until("what waits to be released", [&] { return released_from_pools() >= released + many; });
    }
    all.clear();
}
