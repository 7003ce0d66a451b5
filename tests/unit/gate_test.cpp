// The gate by itself, without a Python: who is inside, who is refused, who is waited for.
#include "support/catch.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <memory>
#include <pthread.h>

#include "gate.hpp"

using namespace support;
using pyattach::gate;
using pyattach::participant;
namespace presence = pyattach::presence;

namespace {

constexpr int64_t far_away = 60000000000;

struct whole_gate : gate::data, gate {
    whole_gate() : gate(static_cast<gate::data &>(*this)) {}
};

std::unique_ptr<whole_gate> new_gate() {
    static bool prepared = (pyattach::prepare_fences(), true);
    (void)prepared;
    return std::make_unique<whole_gate>();
}

} // namespace

TEST_CASE("an open gate lets in, a closed one refuses, and the seat says so") {
    auto fast_participant = new_gate();
    participant mine = {};
    fast_participant->add(mine);
    CHECK(fast_participant->now() == gate::open);
    CHECK(fast_participant->enter(mine));
    CHECK(mine.inside == presence::attached);
    CHECK(fast_participant->enter(mine)); // again, from within a detached scope
    fast_participant->leave(mine, presence::detached);
    CHECK(mine.inside == presence::detached);
    fast_participant->set(gate::closed);
    CHECK(fast_participant->now() == gate::closed);
    CHECK_FALSE(fast_participant->enter(mine));
    CHECK(mine.inside == presence::detached); // as before
    fast_participant->leave(mine, presence::outside);
    CHECK_FALSE(fast_participant->enter(mine));
    CHECK(mine.inside == presence::outside);
    fast_participant->set(gate::dead);
    CHECK(fast_participant->is_dead());
    CHECK_FALSE(fast_participant->enter(mine));
}

TEST_CASE("who is detached inside may come back to a closed gate, not to a sealed one") {
    auto fast_participant = new_gate();
    participant mine = {};
    fast_participant->add(mine);
    CHECK(fast_participant->enter(mine));
    fast_participant->leave(mine, presence::detached);
    fast_participant->set(gate::closed);
    CHECK(fast_participant->come_back(mine));
    CHECK(mine.inside == presence::attached);
    fast_participant->leave(mine, presence::detached);
    fast_participant->set(gate::sealed);
    CHECK_FALSE(fast_participant->come_back(mine));
    CHECK(mine.inside == presence::outside);
}

TEST_CASE("the closer counts who is inside, but for itself, and at will only who is attached") {
    auto fast_participant = new_gate();
    participant attached = {}, detached = {}, outside = {}, own = {};
    attached.native_id = 11;
    detached.native_id = 12;
    own.native_id = 13;
    for (participant *one : {&attached, &detached, &outside, &own})
        fast_participant->add(*one);
    for (participant *one : {&attached, &detached, &own})
        CHECK(fast_participant->enter(*one));
    fast_participant->leave(detached, presence::detached);
    CHECK(fast_participant->wait(&own, false, 0) == 2);
    CHECK(fast_participant->wait(&own, true, 0) == 1);
    CHECK(fast_participant->wait(nullptr, true, 0) == 2);
    pid_t ids[4] = {};
    CHECK(fast_participant->who(&own, ids, 4) == 2);
    CHECK(ids[0] + ids[1] == 23);
    CHECK(fast_participant->who(&own, ids, 1) == 1);
    fast_participant->leave(attached, presence::outside);
    CHECK(fast_participant->wait(&own, true, 0) == 0);
    fast_participant->remove(detached); // its thread ended
    CHECK(fast_participant->wait(&own, false, 0) == 0);
    CHECK(fast_participant->who(&own, ids, 4) == 0);
}

TEST_CASE("a wait ends when the last thread leaves, or when its thread ends") {
    for (bool leaves : {true, false}) {
        auto fast_participant = new_gate();
        participant mine = {};
        fast_participant->add(mine);
        CHECK(fast_participant->enter(mine));
        unsigned inside = 1;
        task closer("the closer to be woken", [&] {
            fast_participant->set(gate::closed);
            inside = fast_participant->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
        });
        closer.wait_until_asleep();
        CHECK_FALSE(closer.has_returned());
        if (leaves)
            fast_participant->leave(mine, presence::outside);
        else
            fast_participant->remove(mine);
        closer.join();
        CHECK(inside == 0);
    }
}

TEST_CASE("a thread that is cancelled while it waits goes on waiting, and leaves no lock taken") {
    auto fast_participant = new_gate();
    participant mine = {};
    fast_participant->add(mine);
    REQUIRE(fast_participant->enter(mine));
    struct shared {
        gate *fast_participant;
        std::atomic<bool> waits{false};
        std::atomic<unsigned> inside{1};
    } both = {&*fast_participant, {}, {}};
    pthread_t closer;
    REQUIRE(pthread_create(
                &closer, nullptr,
                [](void *it) -> void * {
                    auto &mine = *static_cast<shared *>(it);
                    mine.fast_participant->set(gate::closed);
                    pthread_cancel(pthread_self());
                    mine.waits = true;
                    mine.inside = mine.fast_participant->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
                    pthread_testcancel();
                    return nullptr;
                },
                &both) == 0);
    support::wait_until("the closer to begin", [&] { return both.waits.load(); });
    fast_participant->leave(mine, presence::outside);
    void *outcome = nullptr;
    REQUIRE(pthread_join(closer, &outcome) == 0);
    CHECK(outcome == PTHREAD_CANCELED);
    CHECK(both.inside == 0);
    fast_participant->hold();
    fast_participant->let_go();
}
