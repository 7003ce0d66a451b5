// Group 4: forbidden scopes, and tp_traverse as native code writes it.
#include "conformance/native_type.hpp"

#include <stdexcept>

using native::traversal;

namespace {

// A Holder in a cycle with a list, which only the collector can find; the collector off.
void make_garbage(const char *type = "Holder") {
    run(std::string("import gc; gc.collect(); gc.disable(); loop = []; loop.append(") + type + "(loop)); del loop");
}
void collect() { run("import gc; gc.collect(); gc.enable()"); }

int plain_visit(object *held, const visit &visitor) {
    return pyattach::during_traverse([&] { return visitor(held); });
}

} // namespace

TEST_CASE("PyO3 tries_gil_in_traverse") {
    start_python();
    attached here;
    int asked = 0;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             return pyattach::during_traverse([&] {
                                 ++asked;
                                 pyattach::attached inside; // throws
                                 return visitor(held);
                             });
                         },
                         nullptr});
    ref reference = eval("Holder('held')");
    traversal visited(reference);
    CHECK(visited.result == -1);
    CHECK(visited.seen.empty());
    CHECK(asked == 1);
    CHECK_FALSE(pyattach_is_forbidden());
    make_garbage();
    run("import gc\ngc.collect()"); // finds nothing, and lives
    CHECK(asked > 1);
    run("gc.enable()");
    CHECK(pyattach_attach_depth() == 1);
}

TEST_CASE("PyO3 traverse_panic") {
    start_python();
    attached here;
    make_traversed_type({[](object *, const visit &) {
                             return pyattach::during_traverse([]() -> int { throw std::runtime_error("panicked"); });
                         },
                         nullptr});
    ref reference = eval("Holder('held')");
    CHECK(traversal(reference).result == -1);
    CHECK_FALSE(pyattach_is_forbidden());
    CHECK(traversed_failure() == ""); // it did not come that far
}

TEST_CASE("PyO3 traverse_partial") {
    start_python();
    attached here;
    make_traversed_type({[](object *held, const visit &visitor) {
                             return pyattach::during_traverse([&] {
                                 int stop = visitor(held);
                                 return stop ? stop : visitor(held);
                             });
                         },
                         nullptr});
    ref held = new_object();
    publish("held", held);
    ref reference = eval("Holder(held)");
    CHECK(traversal(reference).seen.size() == 2);
    traversal stopped(reference, held);
    CHECK(stopped.result == 7);
    CHECK(stopped.seen.size() == 1);
    CHECK_FALSE(pyattach_is_forbidden());
    publish("one", reference);
    CHECK(eval_true("one in __import__('gc').get_referrers(held)")); // stops each traversal at the first match
    CHECK_FALSE(pyattach_is_forbidden());
    run("del held, one");
}

TEST_CASE("PyO3 gc_null_traversal") {
    start_python();
    attached here;
    make_traversed_type({plain_visit, nullptr});
    ref reference = eval("Holder(object())");
    CHECK(traversal(reference).seen.size() == 1);
    native::clear(reference);
    traversal empty(reference);
    CHECK(empty.seen.empty());
    CHECK(empty.result == 0);
}

TEST_CASE("PyO3 gc_during_borrow") {
    start_python();
    attached here;
    pyattach::mutex lock;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             return pyattach::during_traverse([&] {
                                 if (!lock.try_lock())
                                     return 0;
                                 int stop = visitor(held);
                                 lock.unlock();
                                 return stop;
                             });
                         },
                         nullptr});
    ref reference = eval("Holder(object())");
    {
        pyattach::locked for_writing{lock};
        CHECK(traversal(reference).seen.empty());
        make_garbage();
        run("gc.collect()"); // not found: what it refers to was not to be seen
        CHECK(eval_int("sum(type(it) is Holder for it in gc.get_objects())") == 2);
    }
    CHECK(traversal(reference).seen.size() == 1);
    collect();
    CHECK(eval_int("sum(type(it) is Holder for it in gc.get_objects())") == 1);
    CHECK_FALSE(lock.is_locked());
}

TEST_CASE("PyO3 traverse_cannot_be_hijacked") {
    start_python();
    attached here;
    int ours = 0;
    ref type = make_traversed_type({[&](object *held, const visit &visitor) {
                                        ++ours;
                                        return plain_visit(held, visitor);
                                    },
                                    nullptr});
    run("hijacked = []\n"
        "class Sub(Holder):\n"
        "    def __traverse__(self, *rest): hijacked.append(1)\n"
        "    traverse = tp_traverse = __traverse__\n");
    make_garbage("Sub");
    collect();
    CHECK(ours > 0);
    CHECK(eval_int("len(hijacked)") == 0);
    run("del Sub");
}

TEST_CASE("PyO3 drop_during_traversal_with_gil") {
    start_python();
    attached here;
    run("died = []");
    ref victim = object_with_finalizer("died.append(1)");
    make_traversed_type({[&](object *held, const visit &visitor) {
                             return pyattach::during_traverse([&] {
                                 victim.drop();
                                 EXPECT(pyattach_pool_size() == 1 || !held);
                                 return visitor(held);
                             });
                         },
                         nullptr});
    make_garbage();
    collect();
    CHECK(victim.get() == nullptr);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_int("len(died)") == 1);
    CHECK(traversed_failure() == "");
}

TEST_CASE("PyO3 drop_during_traversal_without_gil") {
    start_python();
    ref victim;
    {
        foreign_attach other; // attached, but by no scope of ours
        run("died = []");
        victim = object_with_finalizer("died.append(1)");
        make_traversed_type({[&](object *held, const visit &visitor) {
                                 return pyattach::during_traverse([&] {
                                     victim.drop();
                                     return visitor(held);
                                 });
                             },
                             nullptr});
        make_garbage();
        collect();
        CHECK(victim.get() == nullptr);
        CHECK(eval_int("len(died)") == 0);
        CHECK(pyattach_pool_size() == 1);
    }
    attached here;
    CHECK(eval_int("len(died)") == 1);
}

TEST_CASE("PyO3 unsendable_are_not_traversed_on_foreign_thread") {
    start_python();
    attached here;
    pthread_t home = pthread_self();
    make_traversed_type({[&](object *held, const visit &visitor) {
                             if (!pthread_equal(pthread_self(), home))
                                 return 0;
                             return plain_visit(held, visitor);
                         },
                         nullptr});
    ref reference = eval("Holder(object())");
    make_garbage();
    {
        detached gap;
        run_on_thread([&] {
            attached there;
            CHECK(traversal(reference).seen.empty());
            run("gc.collect()");
        });
    }
    CHECK(eval_int("sum(type(it) is Holder for it in gc.get_objects())") == 2);
    CHECK(traversal(reference).seen.size() == 1);
    collect();
    CHECK(eval_int("sum(type(it) is Holder for it in gc.get_objects())") == 1);
}

TEST_CASE("PyO3 test_cycle_clear") {
    start_python();
    attached here;
    int dropped = 0;
    make_traversed_type({plain_visit, [&](object *held) {
                             EXPECT(pyattach_is_attached());
                             ++dropped;
                             pyattach_decref(held);
                         }});
    make_garbage();
    CHECK(dropped == 0);
    collect();
    CHECK(dropped == 1);
    CHECK(traversed_failure() == "");
    CHECK(pyattach_pool_size() == 0);
    CHECK(eval_int("sum(type(it) is Holder for it in gc.get_objects())") == 0);
}

TEST_CASE("PyO3 data_is_dropped") {
    start_python();
    attached here;
    int dropped = 0, attached_then = 0;
    make_traversed_type({plain_visit, [&](object *held) {
                             ++dropped;
                             attached_then += pyattach_is_attached();
                             pyattach_decref(held);
                         }});
    ref reference = eval("Holder(object())");
    {
        detached gap;
        run_on_thread([&] { reference.drop(); }); // the last reference, dropped on a thread that is not attached
        CHECK(dropped == 0);
    }
    CHECK(dropped == 1);
    CHECK(attached_then == 1);
}

TEST_CASE("ext: nested forbidden scopes") {
    start_python();
    attached here;
    ref shared = new_object();
    object *reference = second_reference(shared);
    {
        foreign_detach gap;
        pyattach_decref(reference);
    }
    REQUIRE(pyattach_pool_size() == 1);
    {
        forbidden outer;
        for (int i = 0; i < 2; ++i) {
            forbidden inner;
            CHECK(pyattach_is_forbidden());
            CHECK_FALSE(pyattach_is_attached());
            CHECK(cpython_says_attached()); // which is why a mark of its own is needed
            CHECK(try_to_attach() == PYATTACH_FORBIDDEN);
            CHECK(pyattach_pool_drain() == PYATTACH_FORBIDDEN);
        }
        CHECK(pyattach_is_forbidden());
        CHECK(try_to_attach() == PYATTACH_FORBIDDEN);
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK_FALSE(pyattach_is_forbidden());
    CHECK(try_to_attach() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(shared) == 1);
}

TEST_CASE("ext: assumed scope inside a forbidden scope") {
    start_python();
    attached here;
    {
        forbidden traverse;
        pyattach_attached assumed;
        CHECK(pyattach_attached_assume(&assumed) == PYATTACH_FORBIDDEN);
        pyattach::forbidden cpp;
        CHECK(pyattach::attached::assume(std::nothrow).status() == PYATTACH_FORBIDDEN);
    }
    CHECK(pyattach_attach_depth() == 1);
}
