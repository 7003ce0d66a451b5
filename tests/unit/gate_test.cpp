// The gate by itself, without a Python: who is inside, who is refused, who is waited for.
#include "support/catch.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <memory>
#include <pthread.h>

#include "gate.hpp"

using namespace support;
using pyattach::gate;
using pyattach::seat;
namespace presence = pyattach::presence;

namespace {

constexpr int64_t far_away = 60000000000;

struct whole_gate : gate::room, gate {
    whole_gate() : gate(static_cast<gate::room &>(*this)) {}
};

std::unique_ptr<whole_gate> new_gate() {
    static bool prepared = (pyattach::prepare_fences(), true);
    (void)prepared;
    return std::make_unique<whole_gate>();
}

} // namespace

TEST_CASE("an open gate lets in, a closed one refuses, and the seat says so") {
    auto door = new_gate();
    seat mine = {};
    door->add(mine);
    CHECK(door->now() == gate::open);
    CHECK(door->enter(mine));
    CHECK(mine.inside == presence::attached);
    CHECK(door->enter(mine)); // again, from within a detached scope
    door->leave(mine, presence::detached);
    CHECK(mine.inside == presence::detached);
    door->set(gate::closed);
    CHECK(door->now() == gate::closed);
    CHECK_FALSE(door->enter(mine));
    CHECK(mine.inside == presence::detached); // as before
    door->leave(mine, presence::outside);
    CHECK_FALSE(door->enter(mine));
    CHECK(mine.inside == presence::outside);
    door->set(gate::dead);
    CHECK(door->is_dead());
    CHECK_FALSE(door->enter(mine));
}

TEST_CASE("who is detached inside may come back to a closed gate, not to a sealed one") {
    auto door = new_gate();
    seat mine = {};
    door->add(mine);
    CHECK(door->enter(mine));
    door->leave(mine, presence::detached);
    door->set(gate::closed);
    CHECK(door->come_back(mine));
    CHECK(mine.inside == presence::attached);
    door->leave(mine, presence::detached);
    door->set(gate::sealed);
    CHECK_FALSE(door->come_back(mine));
    CHECK(mine.inside == presence::outside);
}

TEST_CASE("the closer counts who is inside, but for itself, and at will only who is attached") {
    auto door = new_gate();
    seat attached = {}, detached = {}, outside = {}, own = {};
    attached.native_id = 11;
    detached.native_id = 12;
    own.native_id = 13;
    for (seat *one : {&attached, &detached, &outside, &own})
        door->add(*one);
    for (seat *one : {&attached, &detached, &own})
        CHECK(door->enter(*one));
    door->leave(detached, presence::detached);
    CHECK(door->wait(&own, false, 0) == 2);
    CHECK(door->wait(&own, true, 0) == 1);
    CHECK(door->wait(nullptr, true, 0) == 2);
    pid_t ids[4] = {};
    CHECK(door->who(&own, ids, 4) == 2);
    CHECK(ids[0] + ids[1] == 23);
    CHECK(door->who(&own, ids, 1) == 1);
    door->leave(attached, presence::outside);
    CHECK(door->wait(&own, true, 0) == 0);
    door->remove(detached); // its thread ended
    CHECK(door->wait(&own, false, 0) == 0);
    CHECK(door->who(&own, ids, 4) == 0);
}

TEST_CASE("a wait ends when the last thread leaves, or when its thread ends") {
    for (bool leaves : {true, false}) {
        auto door = new_gate();
        seat mine = {};
        door->add(mine);
        CHECK(door->enter(mine));
        unsigned inside = 1;
        task closer("the closer to be woken", [&] {
            door->set(gate::closed);
            inside = door->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
        });
        closer.wait_until_asleep();
        CHECK_FALSE(closer.has_returned());
        if (leaves)
            door->leave(mine, presence::outside);
        else
            door->remove(mine);
        closer.join();
        CHECK(inside == 0);
    }
}

TEST_CASE("a thread that is cancelled while it waits goes on waiting, and leaves no lock taken") {
    auto door = new_gate();
    seat mine = {};
    door->add(mine);
    REQUIRE(door->enter(mine));
    struct shared {
        gate *door;
        std::atomic<bool> waits{false};
        std::atomic<unsigned> inside{1};
    } both = {&*door, {}, {}};
    pthread_t closer;
    REQUIRE(pthread_create(
                &closer, nullptr,
                [](void *it) -> void * {
                    auto &mine = *static_cast<shared *>(it);
                    mine.door->set(gate::closed);
                    pthread_cancel(pthread_self());
                    mine.waits = true;
                    mine.inside = mine.door->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
                    pthread_testcancel();
                    return nullptr;
                },
                &both) == 0);
    support::wait_until("the closer to begin", [&] { return both.waits.load(); });
    door->leave(mine, presence::outside);
    void *outcome = nullptr;
    REQUIRE(pthread_join(closer, &outcome) == 0);
    CHECK(outcome == PTHREAD_CANCELED);
    CHECK(both.inside == 0);
    door->hold();
    door->let_go();
}
