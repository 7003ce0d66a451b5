// Threads with the ident of an ended thread whose tstate still exists. Free-threaded CPython identifies a thread by its
// ident; on other builds some of these tests are trivially true.
#include "support/catch.hpp"
#include "support/orphaned_tstate.hpp"
#include "support/recycled_ident.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <set>
#include <vector>

#include "support/tstate_counts.hpp"

using namespace support;

namespace {

// `Value` in __main__ counts its deaths there. The collector is off, as it would hide objects that die late.
class counted_values {
  public:
    counted_values() {
        attached here;
        run("import gc, threading\n"
            "gc.disable()\n"
            "given, died = [], []\n"
            "class Value:\n"
            "    def __del__(self): died.append(1)\n");
    }
    counted_values(const counted_values &) = delete;
    counted_values &operator=(const counted_values &) = delete;
    ~counted_values() {
        attached here;
        run("gc.enable(); gc.collect()\ndel Value, given, died");
    }
};

// Runs `threads` threads at once, each of which leaves its tstate. The last one runs on `stack` and leaves `value`.
void leave_states(int threads, std::set<unsigned long> &identities, recycled_ident *stack = nullptr,
                  const char *value = nullptr) {
    barrier all_there("the others to come", threads);
    std::mutex lock;
    auto come = [&] {
        {
            attached here;
            auto identity = static_cast<unsigned long>(eval_int("threading.get_ident()"));
            std::lock_guard<std::mutex> held(lock);
            identities.insert(identity);
        }
        orphan_own_tstate();
        all_there.arrive_and_wait();
    };
    std::vector<std::unique_ptr<task>> all;
    for (int i = stack ? 1 : 0; i < threads; ++i)
        all.push_back(std::make_unique<task>("one of many threads to end", come));
    if (stack)
        stack->run([&] {
            {
                attached here;
                run(std::string("local.value = ") + value);
            }
            come();
        });
}

// More tstates than may wait for deletion.
constexpr int many = 80;

// The state of a thread that had the identity of `stack` is deleted by another one, and what that one held calls
// `in_deletion` meanwhile.
void delete_one_of(recycled_ident &stack, const std::function<void()> &in_deletion) {
    {
        attached here;
        make_thread_local();
        publish("in_deletion", native_function(in_deletion));
        run("class Held:\n    def __del__(self): in_deletion()\n");
    }
    std::set<unsigned long> identities;
    leave_states(many, identities, &stack, "Held()");
    run_on_thread([] { attached here; });
    attached here;
    run("del Held, in_deletion");
}

} // namespace

namespace {

void leave_tstate() {
    { attached here; }
    orphan_own_tstate();
}

// Whether an object that a thread on `stack` drops dies before the thread ends. The thread attaches with `Attach`.
template <class Attach> bool dies_at_once(recycled_ident &stack) {
    latch given("values to be given"), cleared("them to be dropped");
    bool died = false;
    auto giver = stack.start("the thread that gives to end", [&] {
        Attach here;
        run("died.clear()\ngiven.extend(Value() for i in range(100))");
        {
            foreign_detach gap;
            given.count_down();
            cleared.wait();
        }
        run("for i in range(1000): pass"); // what is queued is seen to between two steps
        died = eval_int("len(died)") == 100;
    });
    given.wait();
    {
        attached here;
        run("given.clear()");
    }
    cleared.count_down();
    giver->join();
    return died;
}

} // namespace

// CPython's Python/brc.c queues them to the first state of their maker's identity.
TEST_CASE("an object a thread drops dies, though an ended thread had its ident") {
    start_python();
    counted_values counted;
    for (pyattach_thread_policy each : {PYATTACH_THREADS_WARM, PYATTACH_THREADS_SCOPED}) {
        recycled_ident stack;
        stack.run(leave_tstate);
        policy thread_policy(each);
        CHECK(dies_at_once<attached>(stack));
    }
}

TEST_CASE("an object dropped on a thread that other code attached before dies, though an ended thread had its ident") {
    start_python();
    counted_values counted;
    recycled_ident stack;
    stack.run(leave_tstate);
    struct visitor {
        visitor() {
            foreign_attach theirs;
            foreign_detach gap;
            attached here;
        }
    };
    struct attached_later {
        visitor first;
        attached here;
    };
    CHECK(dies_at_once<attached_later>(stack));
}

TEST_CASE(
    "an object dropped on a thread that comes from another interpreter dies, though an ended thread had its ident") {
    start_python();
    counted_values counted;
    std::unique_ptr<sub_interpreter> elsewhere;
    {
        attached here;
        elsewhere = std::make_unique<sub_interpreter>();
    }
    static void *address;
    address = elsewhere->state();
    recycled_ident stack;
    stack.run(leave_tstate);
    struct visitor {
        void *tstate = cpython<void *(void *)>("PyThreadState_New")(address);
        visitor() { cpython<void(void *)>("PyEval_RestoreThread")(tstate); }
        ~visitor() {
            cpython<void(void *)>("PyThreadState_Clear")(tstate);
            cpython<void()>("PyThreadState_DeleteCurrent")();
        }
    };
    struct attached_from_there {
        visitor there;
        attached here{pyattach_interpreter_main()};
    };
    CHECK(dies_at_once<attached_from_there>(stack));
    attached here;
    elsewhere.reset();
}

// docs/free-threading.md
TEST_CASE("an object dropped on a thread that other code attached dies, if the ended thread with its ident released "
          "its tstate") {
    start_python();
    counted_values counted;
    recycled_ident stack;
    stack.run([] {
        { attached here; }
        CHECK(pyattach_thread_release() == PYATTACH_OK);
    });
    CHECK(dies_at_once<foreign_attach>(stack));
    stack.run(leave_tstate);
    CHECK(dies_at_once<foreign_attach>(stack) ==
          !(is_free_threaded() && keeps_tstates())); // or that would be for nothing
}

TEST_CASE("an attach waits while the tstate of an ended thread with the same ident is being deleted") {
    start_python();
    if (!is_free_threaded())
        return;
    recycled_ident stack;
    std::unique_ptr<task> newcomer;
    std::atomic<bool> is_over{false};
    bool was_over = false;
    delete_one_of(stack, [&] {
        foreign_detach gap;
        newcomer = stack.start("the newcomer to end", [&] {
            attached here;
            was_over = is_over;
        });
        newcomer->wait_until_asleep(); // or to return
        is_over = true;
    });
    REQUIRE(newcomer);
    newcomer->join();
    CHECK(was_over);
}

TEST_CASE("an attach stops waiting for the deletion of a tstate with its ident if that deletion waits for it") {
    start_python();
    if (!is_free_threaded())
        return;
    recycled_ident stack;
    bool has_come = false;
    delete_one_of(stack, [&] {
        foreign_detach gap;
        stack.run([&] {
            attached here;
            has_come = true;
        });
    });
    CHECK(has_come);
}

TEST_CASE("a tstate whose ident was recycled by a Python thread is not deleted") {
    start_python();
    if (!is_free_threaded() || !keeps_tstates())
        return;
    std::set<unsigned long> ended;
    {
        attached here;
        run("import threading");
    }
    auto come = [&] {
        attached here;
        ended.insert(static_cast<unsigned long>(eval_int("threading.get_ident()")));
    };
    leave_states(many, ended);
    ended.clear();
    run_on_thread(come); // deletes all that were there
    leave_states(many, ended);
    attached here;
    run("end = threading.Event()\n"
        "theirs = [threading.Thread(target=end.wait) for i in range(20)]\n"
        "for one in theirs: one.start()\n");
    std::uint64_t given_again = 0;
    for (int i = 0; i < 20; ++i)
        given_again += ended.count(static_cast<unsigned long>(eval_int("theirs[" + std::to_string(i) + "].ident")));
    CHECK(given_again > 0); // or this test tested nothing
    {
        detached gap;
        run_on_thread([&] {
            attached here;
            CHECK(all_counters().states_dead == given_again);
        });
    }
    run("end.set()\nfor one in theirs: one.join()\ndel end, theirs, one");
}

TEST_CASE("a tstate whose ident was recycled by a thread that other code attached is not deleted") {
    start_python();
    if (!is_free_threaded() || !keeps_tstates())
        return;
    recycled_ident stack;
    std::set<unsigned long> ended;
    {
        attached here;
        make_thread_local();
    }
    leave_states(many, ended, &stack, "1");
    latch is_in("the other thread to come in"), may_go("permission to go");
    auto other = stack.start("the other thread to end", [&] {
        foreign_attach theirs;
        foreign_detach gap;
        { attached inside; }
        is_in.count_down();
        may_go.wait();
    });
    is_in.wait();
    run_on_thread([] {
        attached here;
        CHECK(all_counters().states_dead == 1);
    });
    may_go.count_down();
    other->join();
}
