// Participants go from thread to thread. No Python here: the interpreter is one that nobody asks anything.
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

// As in the library, neither ever ends; its holder is its life.
interpreter &new_interpreter() {
    static auto &all_data = *new std::deque<std::unique_ptr<interp_data>>;
    struct pair {
        alignas(interpreter) char record[sizeof(interpreter)];
    };
    static auto &records = *new std::deque<pair>;
    auto *where = reinterpret_cast<interpreter *>(records.emplace_back().record);
    all_data.push_back(std::make_unique<interp_data>(*where));
    return *new (where) interpreter(nullptr, *all_data.back());
}

void end(interpreter &where) {
    where.gate.end();
    warm_state::forget_orphaned(where);
}

// Threads that sit there at once, and end.
void sit(interpreter &where, int threads) {
    support::barrier all_there("the others to sit", threads);
    std::vector<std::unique_ptr<support::task>> sitting;
    for (int i = 0; i < threads; ++i)
        sitting.push_back(std::make_unique<support::task>("a thread that sits to end", [&] {
            EXPECT(find_participant(*own_record(), where));
            all_there.arrive_and_wait();
        }));
}

unsigned empty(const interpreter &where) { return where.data->vacant.count.load(); }
unsigned dead(const interpreter &where) { return where.data->orphaned.count.load(); }

} // namespace

TEST_CASE("a seat that a thread leaves is the next thread's, and speaks of that one") {
    interpreter &where = new_interpreter();
    participant *first = nullptr;
    support::run_on_thread([&] {
        thread &me = *own_record();
        first = find_participant(me, where);
        REQUIRE(first);
        CHECK(find_participant(me, where) == first);
        first->last_tstate = reinterpret_cast<thread_state *>(16);
    });
    CHECK(empty(where) == 1);
    support::run_on_thread([&] {
        participant *mine = find_participant(*own_record(), where);
        CHECK(mine == first);
        CHECK(empty(where) == 0);
        CHECK(mine->interp == &where);
        CHECK(mine->native_id == own_native_id());
        CHECK(pthread_equal(mine->ident, pthread_self()));
        CHECK(mine->last_tstate == nullptr);
        CHECK(mine->presence_now.load() == presence::outside);
        // The gate has known it all the time.
        mine->presence_now.store(presence::attached);
        pid_t found[2] = {};
        CHECK(where.gate.list_inside(nullptr, found, 2) == 1);
        CHECK(found[0] == own_native_id());
        mine->presence_now.store(presence::outside);
    });
    end(where);
    CHECK(where.data->refs == 1);
}

TEST_CASE("a seat with a state waits for it to be deleted, and is no thread's meanwhile") {
    interpreter &where = new_interpreter();
    participant *left = nullptr;
    support::run_on_thread([&] {
        left = find_participant(*own_record(), where);
        left->warm_tstate = reinterpret_cast<thread_state *>(16);
    });
    CHECK(dead(where) == 1);
    CHECK(empty(where) == 0);
    support::run_on_thread([&] { CHECK(find_participant(*own_record(), where) != left); });
    CHECK(dead(where) == 1);
    end(where);
    CHECK(dead(where) == 0);
    CHECK(empty(where) == 0);
    CHECK(where.data->refs == 1);
}

TEST_CASE("after a crowd no more empty seats are kept than there may be") {
    interpreter &where = new_interpreter();
    sit(where, most_vacant_participants + 5);
    CHECK(empty(where) == most_vacant_participants);
    CHECK(where.data->refs == 1 + most_vacant_participants);
    sit(where, 3);
    CHECK(empty(where) == most_vacant_participants);
    end(where);
    CHECK(where.data->refs == 1);
}

TEST_CASE("a thread that leaves its seat behind a dead gate takes the hold along") {
    interpreter &where = new_interpreter();
    support::latch seated("the thread to sit"), may_end("permission to end");
    support::task thread("the thread to end", [&] {
        find_participant(*own_record(), where)->warm_tstate = reinterpret_cast<thread_state *>(16);
        seated.count_down();
        may_end.wait();
    });
    seated.wait();
    end(where);
    CHECK(where.data->refs == 2);
    may_end.count_down();
    thread.join();
    CHECK(where.data->refs == 1);
    CHECK(dead(where) == 0);
}

namespace {

void leave_state(interpreter &where) {
    find_participant(*own_record(), where)->warm_tstate = reinterpret_cast<thread_state *>(16);
}

} // namespace

TEST_CASE("a thread takes the states of its namesakes alone, and what it does not delete waits on") {
    interpreter &where = new_interpreter();
    support::recycled_ident ours, theirs;
    for (support::recycled_ident *one : {&ours, &theirs, &ours})
        one->run([&] { leave_state(where); });
    CHECK(dead(where) == 3);
    ours.run([&] {
        CHECK(find_participant(*own_record(), where));
        {
            reap_batch those(where);
            those.take_same_ident();
            CHECK(dead(where) == 1);
            CHECK(where.data->reap_batches == &those);
        }
        CHECK(dead(where) == 3);
        CHECK(where.data->reap_batches == nullptr);
    });
    end(where);
    CHECK(where.data->refs == 1);
}

TEST_CASE("what is not deleted before the interpreter ends goes with it") {
    interpreter &where = new_interpreter();
    support::recycled_ident ours;
    ours.run([&] { leave_state(where); });
    ours.run([&] {
        CHECK(find_participant(*own_record(), where));
        reap_batch those(where);
        those.take_same_ident();
        end(where);
        CHECK(where.data->refs == 3); // the life's, this thread's participant's, and the dead one's
    });
    CHECK(dead(where) == 0);
    CHECK(where.data->refs == 1);
}

TEST_CASE("a namesake takes its own out of what another thread is about to delete") {
    interpreter &where = new_interpreter();
    support::recycled_ident ours, theirs;
    for (support::recycled_ident *one : {&ours, &theirs})
        one->run([&] { leave_state(where); });
    support::latch taken("all to be taken"), may_end("permission to end");
    support::task other("the other thread to end", [&] {
        EXPECT(find_participant(*own_record(), where));
        reap_batch all(where);
        all.take_all();
        taken.count_down();
        may_end.wait();
    });
    taken.wait();
    CHECK(dead(where) == 0);
    ours.run([&] {
        CHECK(find_participant(*own_record(), where));
        reap_batch mine(where);
        mine.take_same_ident();
        may_end.count_down();
        other.join();
        CHECK(dead(where) == 1);
    });
    CHECK(dead(where) == 2);
    end(where);
    CHECK(where.data->refs == 1);
}

TEST_CASE("in a fork child what was being deleted is among the dead") {
    interpreter &where = new_interpreter();
    support::recycled_ident ours;
    ours.run([&] { leave_state(where); });
    ours.run([&] {
        CHECK(find_participant(*own_record(), where));
        static reap_batch &those = *new reap_batch(where); // on a stack that is there for good, in the child
        those.take_same_ident();
        CHECK(dead(where) == 0);
        lock_registry();
        reap_batch::forget_locked(*where.data);
        unlock_registry();
        CHECK(dead(where) == 1);
        CHECK(where.data->reap_batches == nullptr);
    });
    end(where);
    CHECK(where.data->refs == 1);
}

TEST_CASE("an identity is taken as long as a thread that has it sits there") {
    interpreter &where = new_interpreter();
    support::recycled_ident ours, theirs;
    pthread_t ident{};
    ours.run([&] {
        ident = pthread_self();
        leave_state(where);
    });
    auto is_taken = [&] {
        lock_registry();
        const bool is = where.gate.has_ident(ident);
        unlock_registry();
        return is;
    };
    CHECK_FALSE(is_taken()); // the dead one's participant is in the gate
    theirs.run([&] { CHECK(find_participant(*own_record(), where)); });
    CHECK_FALSE(is_taken());
    ours.run([&] {
        CHECK_FALSE(is_taken());
        CHECK(find_participant(*own_record(), where));
        CHECK(is_taken());
    });
    CHECK_FALSE(is_taken()); // nor is that of an empty one
    end(where);
    CHECK(where.data->refs == 1);
}
