// The gate alone, without a Python: which threads are inside, which are refused, and which are waited for.
#include "support/catch.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <pthread.h>
#include <string>

#include "core/gate.hpp"
#include "platform/clock.hpp"

using namespace support;
using pyattach::gate;
using pyattach::inside_thread;
using pyattach::participant;
using pyattach::presence;

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

TEST_CASE("an open gate admits a thread, a closed one refuses it, and the presence follows") {
    auto the_gate = new_gate();
    participant self = {};
    the_gate->add(self);
    CHECK(the_gate->now() == gate::open);
    CHECK(the_gate->enter(self));
    CHECK(self.presence_now == presence::attached);
    the_gate->leave(self, presence::detached);
    CHECK(the_gate->enter(self, presence::detached)); // an attached scope inside the detached one
    the_gate->leave(self, presence::detached);
    CHECK(self.presence_now == presence::detached);
    the_gate->close();
    CHECK(the_gate->now() == gate::closed);
    CHECK_FALSE(the_gate->enter(self, presence::detached));
    CHECK(self.presence_now == presence::detached); // as before
    the_gate->leave(self, presence::outside);
    CHECK_FALSE(the_gate->enter(self));
    CHECK(self.presence_now == presence::outside);
    the_gate->end();
    CHECK(the_gate->is_ended());
    CHECK_FALSE(the_gate->enter(self));
}

TEST_CASE("a gate never goes back to an earlier state") {
    auto the_gate = new_gate();
    the_gate->end();
    the_gate->seal();
    the_gate->close();
    CHECK(the_gate->now() == gate::ended);
    the_gate->clear();
    the_gate->end();
    CHECK(the_gate->now() == gate::cleared);
    CHECK(the_gate->is_ended());
}

TEST_CASE("a thread that is detached inside may reenter a closed gate, but not a sealed one") {
    auto the_gate = new_gate();
    participant self = {};
    the_gate->add(self);
    CHECK(the_gate->enter(self));
    the_gate->leave(self, presence::detached);
    the_gate->close();
    CHECK(the_gate->reenter(self));
    CHECK(self.presence_now == presence::attached);
    the_gate->leave(self, presence::detached);
    the_gate->seal();
    CHECK_FALSE(the_gate->reenter(self));
    CHECK(self.presence_now == presence::outside);
}

TEST_CASE("the closing thread counts the other threads inside, or only the attached ones") {
    auto the_gate = new_gate();
    participant attached = {}, detached = {}, outside = {}, own = {};
    attached.native_id = 11;
    detached.native_id = 12;
    own.native_id = 13;
    for (participant *member : {&attached, &detached, &outside, &own})
        the_gate->add(*member);
    for (participant *member : {&attached, &detached, &own})
        CHECK(the_gate->enter(*member));
    the_gate->leave(detached, presence::detached);
    CHECK(the_gate->wait(&own, false, 0) == 2);
    CHECK(the_gate->wait(&own, true, 0) == 1);
    CHECK(the_gate->wait(nullptr, true, 0) == 2);
    CHECK(the_gate->set_label(detached, "label"));
    CHECK_FALSE(the_gate->set_label(detached, "inner")); // the first one stays
    inside_thread threads[4] = {};
    CHECK(the_gate->list_inside(&own, threads, 4) == 2);
    CHECK(threads[0].id + threads[1].id == 23);
    for (int i = 0; i < 2; ++i)
        CHECK(std::string(threads[i].label) == (threads[i].id == 12 ? "label" : ""));
    the_gate->clear_label(detached);
    the_gate->clear_label(attached); // which has none
    CHECK(the_gate->list_inside(&own, threads, 1) == 1);
    CHECK(the_gate->list_inside(&own, threads, 4) == 2);
    CHECK(std::string(threads[0].label) + threads[1].label == "");
    the_gate->leave(attached, presence::outside);
    CHECK(the_gate->wait(&own, true, 0) == 0);
    the_gate->remove(detached); // its thread ended
    CHECK(the_gate->wait(&own, false, 0) == 0);
    CHECK(the_gate->list_inside(&own, threads, 4) == 0);
}

TEST_CASE("a wait ends when the last thread leaves the gate or ends") {
    for (bool leaves : {true, false}) {
        auto the_gate = new_gate();
        participant self = {};
        the_gate->add(self);
        CHECK(the_gate->enter(self));
        unsigned inside = 1;
        task closer("the closer to be woken", [&] {
            the_gate->close();
            inside = the_gate->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
        });
        closer.wait_until_asleep();
        CHECK_FALSE(closer.has_returned());
        if (leaves)
            the_gate->leave(self, presence::outside);
        else
            the_gate->remove(self);
        closer.join();
        CHECK(inside == 0);
    }
}

TEST_CASE("a thread that is cancelled while it waits goes on waiting, and leaves no lock locked") {
    auto the_gate = new_gate();
    participant self = {};
    the_gate->add(self);
    REQUIRE(the_gate->enter(self));
    struct shared {
        gate *the_gate;
        std::atomic<bool> waits{false};
        std::atomic<unsigned> inside{1};
    } both = {&*the_gate, {}, {}};
    pthread_t closer;
    REQUIRE(pthread_create(
                &closer, nullptr,
                [](void *arg) -> void * {
                    auto &args = *static_cast<shared *>(arg);
                    args.the_gate->close();
                    pthread_cancel(pthread_self());
                    args.waits = true;
                    args.inside = args.the_gate->wait(nullptr, false, pyattach::monotonic_ns() + 2 * far_away);
                    pthread_testcancel();
                    return nullptr;
                },
                &both) == 0);
    support::wait_until("the closer to begin", [&] { return both.waits.load(); });
    the_gate->leave(self, presence::outside);
    void *outcome = nullptr;
    REQUIRE(pthread_join(closer, &outcome) == 0);
    CHECK(outcome == PTHREAD_CANCELED);
    CHECK(both.inside == 0);
    the_gate->hold();
    the_gate->release_hold();
}

TEST_CASE("at the limit of a wait no thread is counted that the gate is about to refuse") {
    auto the_gate = new_gate();
    participant refused = {}, inside = {}, own = {};
    for (participant *member : {&refused, &inside, &own})
        the_gate->add(*member);
    CHECK(the_gate->enter(inside));
    CHECK(the_gate->enter(own));
    the_gate->seal();
    CHECK(the_gate->count_attached(&own) == 1);
    the_gate->leave(inside, presence::outside);
    // The count waits 20 ms at most, which a busy machine may need for this; one attempt in which it does not suffices.
    unsigned least = 1;
    for (int attempt = 0; least != 0 && attempt < 100; ++attempt) {
        refused.presence_now = presence::attached; // as enter() announces it, before it reads the gate's word
        unsigned counted = 1;
        task closer("the closer to have counted", [&] { counted = the_gate->count_attached(&own); });
        closer.wait_until_asleep();
        refused.presence_now = presence::outside; // as enter() takes it back
        closer.join();
        least = std::min(least, counted);
    }
    CHECK(least == 0);
}
