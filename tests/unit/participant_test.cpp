// Participants are passed on from thread to thread. Without a Python: no test calls CPython with the interpreter.
#include "core/interpreter.hpp"
#include "tstate/reaper.hpp"
#include "tstate/warm_state.hpp"

#include <deque>
#include <memory>
#include <vector>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/recycled_ident.hpp"
#include "support/threads.hpp"

using namespace pyattach;

namespace {

// As in the library, the record is never freed. The interpreter itself has one reference to its data.
interpreter &new_interpreter() {
    static auto &all_data = *new std::deque<std::unique_ptr<interp_data>>;
    struct pair {
        alignas(interpreter) char record[sizeof(interpreter)];
    };
    static auto &records = *new std::deque<pair>;
    auto *interp = reinterpret_cast<interpreter *>(records.emplace_back().record);
    all_data.push_back(std::make_unique<interp_data>(*interp));
    return *new (interp) interpreter(nullptr, *all_data.back());
}

void end(interpreter &interp) {
    interp.gate.end();
    warm_state::forget_orphaned(interp);
}

// Runs so many threads that have a participant at the same time, and end.
void run_participants(interpreter &interp, int threads) {
    support::barrier all_there("the others to have participants", threads);
    std::vector<std::unique_ptr<support::task>> tasks;
    for (int i = 0; i < threads; ++i)
        tasks.push_back(std::make_unique<support::task>("a thread with a participant to end", [&] {
            EXPECT(find_or_make_participant(*own_record(), interp));
            all_there.arrive_and_wait();
        }));
}

unsigned empty(const interpreter &interp) { return interp.data->vacant.count.load(); }
unsigned dead(const interpreter &interp) { return interp.data->orphaned.count.load(); }

} // namespace

TEST_CASE("a participant that a thread leaves is the next thread's, with that thread's values") {
    interpreter &interp = new_interpreter();
    participant *first = nullptr;
    support::run_on_thread([&] {
        thread &me = *own_record();
        first = find_or_make_participant(me, interp);
        REQUIRE(first);
        CHECK(find_or_make_participant(me, interp) == first);
        first->last_tstate = reinterpret_cast<thread_state *>(16);
    });
    CHECK(empty(interp) == 1);
    support::run_on_thread([&] {
        participant *self = find_or_make_participant(*own_record(), interp);
        CHECK(self == first);
        CHECK(empty(interp) == 0);
        CHECK(self->interp == &interp);
        CHECK(self->native_id == own_native_id());
        CHECK(pthread_equal(self->ident, pthread_self()));
        CHECK(self->last_tstate == nullptr);
        CHECK(self->presence_now.load() == presence::outside);
        // It has been in the gate all the time.
        self->presence_now.store(presence::attached);
        pyattach::inside_thread found[2] = {};
        CHECK(interp.gate.list_inside(nullptr, found, 2) == 1);
        CHECK(found[0].id == own_native_id());
        self->presence_now.store(presence::outside);
    });
    end(interp);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("a participant with an orphaned tstate is not reused before the tstate is deleted") {
    interpreter &interp = new_interpreter();
    participant *left = nullptr;
    support::run_on_thread([&] {
        left = find_or_make_participant(*own_record(), interp);
        left->warm_tstate = reinterpret_cast<thread_state *>(16);
    });
    CHECK(dead(interp) == 1);
    CHECK(empty(interp) == 0);
    support::run_on_thread([&] { CHECK(find_or_make_participant(*own_record(), interp) != left); });
    CHECK(dead(interp) == 1);
    end(interp);
    CHECK(dead(interp) == 0);
    CHECK(empty(interp) == 0);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("no more than the allowed number of vacant participants are kept") {
    interpreter &interp = new_interpreter();
    run_participants(interp, most_vacant_participants + 5);
    CHECK(empty(interp) == most_vacant_participants);
    CHECK(interp.data->refs == 1 + most_vacant_participants);
    run_participants(interp, 3);
    CHECK(empty(interp) == most_vacant_participants);
    end(interp);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("a thread that retires a participant of an ended gate releases its reference to the data") {
    interpreter &interp = new_interpreter();
    support::latch has_participant("the thread to have a participant"), may_end("permission to end");
    support::task thread("the thread to end", [&] {
        find_or_make_participant(*own_record(), interp)->warm_tstate = reinterpret_cast<thread_state *>(16);
        has_participant.count_down();
        may_end.wait();
    });
    has_participant.wait();
    end(interp);
    CHECK(interp.data->refs == 2);
    may_end.count_down();
    thread.join();
    CHECK(interp.data->refs == 1);
    CHECK(dead(interp) == 0);
}

namespace {

void leave_tstate(interpreter &interp) {
    find_or_make_participant(*own_record(), interp)->warm_tstate = reinterpret_cast<thread_state *>(16);
}

} // namespace

TEST_CASE("a thread takes only the orphaned tstates of its ident, and puts back what it does not delete") {
    interpreter &interp = new_interpreter();
    support::recycled_ident same, different;
    for (support::recycled_ident *ident : {&same, &different, &same})
        ident->run([&] { leave_tstate(interp); });
    CHECK(dead(interp) == 3);
    same.run([&] {
        CHECK(find_or_make_participant(*own_record(), interp));
        {
            reap_batch batch(interp);
            batch.take_same_ident();
            CHECK(dead(interp) == 1);
            CHECK(interp.data->reap_batches == &batch);
        }
        CHECK(dead(interp) == 3);
        CHECK(interp.data->reap_batches == nullptr);
    });
    end(interp);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("a tstate that is not deleted before the interpreter ends is left to CPython") {
    interpreter &interp = new_interpreter();
    support::recycled_ident same;
    same.run([&] { leave_tstate(interp); });
    same.run([&] {
        CHECK(find_or_make_participant(*own_record(), interp));
        reap_batch batch(interp);
        batch.take_same_ident();
        end(interp);
        CHECK(interp.data->refs == 3); // of the interpreter, of this thread's participant, and of the ended thread's
    });
    CHECK(dead(interp) == 0);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("a thread takes the tstates of its ident out of the batch of another thread") {
    interpreter &interp = new_interpreter();
    support::recycled_ident same, different;
    for (support::recycled_ident *ident : {&same, &different})
        ident->run([&] { leave_tstate(interp); });
    support::latch taken("all to be taken"), may_end("permission to end");
    support::task other("the other thread to end", [&] {
        EXPECT(find_or_make_participant(*own_record(), interp));
        reap_batch batch(interp);
        batch.take_all();
        taken.count_down();
        may_end.wait();
    });
    taken.wait();
    CHECK(dead(interp) == 0);
    same.run([&] {
        CHECK(find_or_make_participant(*own_record(), interp));
        reap_batch same_ident(interp);
        same_ident.take_same_ident();
        may_end.count_down();
        other.join();
        CHECK(dead(interp) == 1);
    });
    CHECK(dead(interp) == 2);
    end(interp);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("in a fork child the tstates of a batch are orphaned again") {
    interpreter &interp = new_interpreter();
    support::recycled_ident same;
    same.run([&] { leave_tstate(interp); });
    same.run([&] {
        CHECK(find_or_make_participant(*own_record(), interp));
        // In the child the stack of the other thread is never reused.
        static reap_batch &batch = *new reap_batch(interp);
        batch.take_same_ident();
        CHECK(dead(interp) == 0);
        lock_registry();
        reap_batch::forget_locked(*interp.data);
        unlock_registry();
        CHECK(dead(interp) == 1);
        CHECK(interp.data->reap_batches == nullptr);
    });
    end(interp);
    CHECK(interp.data->refs == 1);
}

TEST_CASE("an ident is taken as long as a thread that has it has a participant") {
    interpreter &interp = new_interpreter();
    support::recycled_ident same, different;
    pthread_t ident{};
    same.run([&] {
        ident = pthread_self();
        leave_tstate(interp);
    });
    auto is_taken = [&] {
        lock_registry();
        const bool is = interp.gate.has_ident(ident);
        unlock_registry();
        return is;
    };
    CHECK_FALSE(is_taken()); // the participant of the ended thread is in the gate
    different.run([&] { CHECK(find_or_make_participant(*own_record(), interp)); });
    CHECK_FALSE(is_taken());
    same.run([&] {
        CHECK_FALSE(is_taken());
        CHECK(find_or_make_participant(*own_record(), interp));
        CHECK(is_taken());
    });
    CHECK_FALSE(is_taken()); // nor does a vacant participant count
    end(interp);
    CHECK(interp.data->refs == 1);
}
