// Group 4, classes derived from one made in C: in C and in Python.
#include "conformance/native_type.hpp"

using native::derived;
using native::traversal;

namespace {

int plain_visit(object *held, const visit &visitor) {
    return pyattach::during_traverse([&] { return visitor(held); });
}

// `Holder`, of whose references `dropped` counts those that were given up.
ref make_counting_type(int &dropped, bool visits_type = false) {
    auto drop = [&dropped](object *held) {
        ++dropped;
        pyattach_decref(held);
    };
    return make_traversed_type({plain_visit, drop, visits_type});
}

std::int64_t live(const char *type) {
    return eval_int(std::string("sum(type(it).__name__ == '") + type + "' for it in __import__('gc').get_objects())");
}

// Whether the collector finds a cycle through the dict of an instance of `Sub`, which is dropped.
bool dict_cycle_is_collected() {
    run("import gc, weakref\n"
        "one = Sub()\n"
        "one.me = one\n"
        "seen = weakref.ref(one)\n"
        "del one\n"
        "before = seen() is not None\n"
        "gc.collect()\n");
    return eval_true("before and seen() is None");
}

int traversed_directly;

} // namespace

TEST_CASE("PyO3 test_traverse_subclass") {
    start_python();
    attached here;
    ref holder = make_traversed_type({plain_visit, nullptr});
    ref type = derived::make(holder);
    ref of_base = new_object(), of_derived = new_object();
    publish("of_base", of_base);
    {
        ref reference = eval("Derived(of_base)");
        derived::set_own(reference, of_derived);
        traversal both(reference);
        CHECK(both.count(of_base) == 1);
        CHECK(both.count(of_derived) == 1);
    }
    run("class Sub(Holder):\n    __slots__ = ('own',)\n");
    ref reference = eval("Sub(of_base)");
    REQUIRE(pyattach_set_attribute(reference, "own", of_derived) == PYATTACH_OK);
    traversal python(reference);
    CHECK(python.count(of_base) == 1);
    CHECK(python.count(of_derived) == 1);
    run("del of_base, Sub");
}

TEST_CASE("PyO3 test_traverse_subclass_override_clear") {
    start_python();
    attached here;
    int dropped = 0;
    ref holder = make_counting_type(dropped);
    ref type = derived::make(holder);
    run("import gc; gc.disable(); loop = []; loop.append(Derived(loop)); del loop; gc.collect(); gc.enable()");
    CHECK(dropped == 1);
    CHECK(derived::destroyed == 1);
    CHECK(live("Derived") == 0);
}

TEST_CASE("PyO3 test_subclass_clear") {
    start_python();
    attached here;
    int dropped = 0;
    ref holder = make_counting_type(dropped);
    run("class Sub(Holder): pass\n");
    ref reference = eval("Sub(object())");
    native::clear(reference);
    CHECK(dropped == 1);
    reference.drop();
    CHECK(dropped == 1);
    run("del Sub");
}

TEST_CASE("PyO3 test_super_traverse_early_return_does_not_abort") {
    start_python();
    attached here;
    ref holder = make_traversed_type({plain_visit, nullptr});
    ref type = derived::make(holder);
    ref of_base = new_object();
    publish("of_base", of_base);
    ref reference = eval("Derived(of_base)");
    CHECK(traversal(reference, of_base).result == 7);
    CHECK(derived::own_parts_traversed == 0);
    CHECK_FALSE(pyattach_is_forbidden());
    CHECK(try_to_attach() == PYATTACH_OK);
    CHECK(traversal(reference).result == 0);
    CHECK(derived::own_parts_traversed == 1);
    run("del of_base");
}

TEST_CASE("PyO3 type_object_is_visited_once_when_pyclasses_subtype_each_other") {
    start_python();
    attached here;
    ref holder = make_traversed_type({plain_visit, nullptr, true});
    ref type = derived::make(holder);
    run("class Sub(Derived): pass\n");
    for (const char *each : {"Holder", "Derived", "Sub"}) {
        INFO(each);
        ref reference = eval(std::string(each) + "(object())");
        CHECK(traversal(reference).count(type_without_counting(reference)) == 1);
    }
    run("del Sub");
}

TEST_CASE("PyO3 python_subclass_type_cycle_is_collected") {
    start_python();
    attached here;
    ref holder = make_traversed_type({plain_visit, nullptr, true});
    run("import gc, weakref\n"
        "class Sub(Holder): pass\n"
        "Sub.instance = Sub(object())\n"
        "seen = weakref.ref(Sub)\n"
        "del Sub\n"
        "gc.collect()\n");
    CHECK(eval_true("seen() is None"));
}

// A type without slots in C gets them from Python with the dict.
TEST_CASE("PyO3 dict_class_is_a_gc_type") {
    start_python();
    attached here;
    ref plain = native::make_type("tests.Plain", sizeof(void *), 0, {});
    CHECK(eval_int("Plain.__flags__ >> 14 & 1") == 0);
    run("class Sub(Plain): pass\n");
    CHECK(eval_int("Sub.__flags__ >> 14 & 1") == 1);
    CHECK(eval_true("__import__('gc').is_tracked(Sub())"));
    run("del Sub");
}
TEST_CASE("PyO3 dict_cycle_collected_without_traverse") {
    start_python();
    attached here;
    ref plain = native::make_type("tests.Plain", sizeof(void *), 0, {});
    run("class Sub(Plain): pass\n");
    CHECK(dict_cycle_is_collected());
    run("del Sub");
}
TEST_CASE("PyO3 dict_cycle_collected_with_traverse_only") {
    start_python();
    attached here;
    traversed_directly = 0;
    native::traverse_function traverse = [](object *self, native::visitor visit, void *arg) {
        return pyattach::during_traverse([&] {
            ++traversed_directly;
            return visit(type_without_counting(self), arg);
        });
    };
    make_traversed_type({}); // tells type_without_counting what all objects have
    ref type = native::make_type("tests.Visited", sizeof(void *), native::flag_collected,
                                 {{native::slot_traverse, reinterpret_cast<void *>(traverse)}});
    run("class Sub(Visited): pass\n");
    CHECK(dict_cycle_is_collected());
    CHECK(traversed_directly > 0);
    run("del Sub");
}
TEST_CASE("PyO3 dict_cycle_collected_with_traverse_and_clear") {
    start_python();
    attached here;
    int dropped = 0;
    ref holder = make_counting_type(dropped, true);
    run("class Sub(Holder):\n    def __init__(self): super().__init__(object())\n");
    CHECK(dict_cycle_is_collected());
    CHECK(dropped == 1);
    run("del Sub");
}

TEST_CASE("PyO3 inheritance_with_new_methods_with_drop") {
    start_python();
    attached here;
    int dropped = 0;
    ref holder = make_counting_type(dropped);
    ref type = derived::make(holder);
    ref of_base = new_object(), of_derived = new_object();
    publish("of_base", of_base);
    ref reference = eval("Derived(of_base)");
    derived::set_own(reference, of_derived);
    run("del of_base");
    {
        detached gap;
        reference.drop(); // a decref on a detached thread destroys it once, too
    }
    CHECK(dropped == 1);
    CHECK(derived::destroyed == 1);
    CHECK(reference_count(of_base) == 1);
    CHECK(reference_count(of_derived) == 1);
}
