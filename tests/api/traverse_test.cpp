// Forbidden scopes where they are meant to be: in tp_traverse, run by the garbage collector.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/traversed.hpp"

using namespace support;

namespace {

// A Holder in a cycle with a list, which only the collector can find.
void make_garbage() { run("import gc; gc.collect(); gc.disable(); loop = []; loop.append(Holder(loop)); del loop"); }
void collect() { run("gc.collect(); gc.enable()"); }

} // namespace

// PyO3 tries_gil_in_traverse, test_try_attach_fail_during_gc
TEST_CASE("a tp_traverse function is refused everything that would touch a reference count") {
    start_python();
    attached here;
    int asked = 0;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             ++asked;
                             pyattach_attached scope;
                             EXPECT(pyattach_attached_begin(&scope) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_attached_begin_unchecked(&scope) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_attached_assume(&scope) == PYATTACH_FORBIDDEN);
                             pyattach_detached gap;
                             EXPECT(pyattach_detached_begin(&gap) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_is_attached() == 0);
                             EXPECT(!held || pyattach_incref(held) == PYATTACH_FORBIDDEN);
                             EXPECT(cpython_says_attached()); // which is why a mark of our own is needed
                             return visitor(held);
                         },
                         nullptr});
    make_garbage();
    collect();
    CHECK(traversed_failure() == "");
    CHECK(asked > 0);
    CHECK(pyattach_is_attached());
    CHECK_FALSE(pyattach_is_forbidden());
}

// PyO3 drop_during_traversal_with_gil
TEST_CASE("a reference dropped in tp_traverse on an attached thread is released after the collection") {
    start_python();
    attached here;
    run("died = []");
    ref victim = object_whose_death("died.append(1)");
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             victim.drop();
                             return visitor(held);
                         },
                         nullptr});
    make_garbage();
    collect();
    CHECK(victim.get() == nullptr);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_int("len(died)") == 1);
}

// PyO3 drop_during_traversal_without_gil
TEST_CASE("a reference dropped in tp_traverse without any attached scope open is released after the collection") {
    start_python();
    object *victim = nullptr;
    {
        foreign_attach other;
        run("died = []");
        ref made = object_whose_death("died.append(1)");
        victim = made.release();
        make_traversed_type({[&](object *held, const visit &visitor) {
                                 forbidden traverse;
                                 pyattach_decref(std::exchange(victim, nullptr));
                                 return visitor(held);
                             },
                             nullptr});
        make_garbage();
        collect();
        CHECK(victim == nullptr);
    }
    attached here;
    CHECK(eval_int("len(died)") == 1);
}

// PyO3 test_cycle_clear, gc_null_traversal, data_is_dropped
TEST_CASE("a cycle through a native reference is found by tp_traverse and broken by tp_clear, attached") {
    start_python();
    attached here;
    int dropped = 0;
    make_traversed_type({[](object *held, const visit &visitor) {
                             forbidden traverse;
                             return visitor(held); // held may be NULL after the clear
                         },
                         [&](object *held) {
                             EXPECT(pyattach_is_attached());
                             ++dropped;
                             pyattach_decref(held);
                         }});
    make_garbage();
    collect();
    CHECK(dropped == 1);
    CHECK(traversed_failure() == "");
    CHECK(pyattach_pool_size() == 0);
}

// PyO3 traverse_partial
TEST_CASE("a traversal that the visitor stops leaves the forbidden scope closed") {
    start_python();
    attached here;
    int stopped = 0;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             int stop = visitor(held);
                             stopped += stop != 0;
                             return stop;
                         },
                         nullptr});
    run("import gc; gc.collect(); item = []; one = Holder(item)");
    // get_referrers stops a traversal at the first match.
    CHECK(eval_true("one in gc.get_referrers(item)"));
    CHECK(stopped > 0);
    CHECK_FALSE(pyattach_is_forbidden());
    run("del one, item");
    attached again;
    CHECK(eval_int("1") == 1);
}

TEST_CASE("a traversal outside the collector is refused the same") {
    start_python();
    attached here;
    pyattach_status seen = PYATTACH_OK;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             pyattach_attached scope;
                             seen = pyattach_attached_begin(&scope);
                             return visitor(held);
                         },
                         nullptr});
    run("import gc; one = Holder('held')");
    CHECK(eval_true("'held' in gc.get_referents(one)"));
    CHECK(seen == PYATTACH_FORBIDDEN);
    run("del one");
}
