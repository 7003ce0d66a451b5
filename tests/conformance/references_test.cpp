// Group 3: references, taken on attached threads and dropped on any.
#include "conformance/conformance.hpp"

namespace {

// One object with two references: `kept` holds one, the other is the caller's to drop.
object *two_references(ref &kept) {
    kept = new_object();
    return second_reference(kept);
}

// Attaches on another thread until the pool is empty, at most 100 times.
bool is_collected_by_attaches() {
    for (int attempt = 0; attempt < 100 && pyattach_pool_size() != 0; ++attempt)
        run_on_thread([] { attached there; });
    return pyattach_pool_size() == 0;
}

void drop_while_attached() {
    ref kept;
    object *reference = two_references(kept);
    auto before = all_counters();
    CHECK(reference_count(kept) == 2);
    pyattach_decref(reference);
    CHECK(reference_count(kept) == 1);
    CHECK(all_counters().drops_queued == before.drops_queued);
    CHECK(pyattach_pool_size() == 0);
}

void drop_while_detached() {
    ref kept;
    object *reference = two_references(kept);
    {
        detached gap;
        run_on_thread([&] { pyattach_decref(reference); });
        // No thread is attached, so no thread has drained the pool.
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(kept) == 1);
}

void no_deadlock() {
    run("died = []");
    ref inner = object_with_finalizer("died.append('inner')");
    object *second = inner.release();
    publish("again", native_function([&] {
                attached nested;
                EXPECT(pyattach_pool_drain() == PYATTACH_OK);
                {
                    detached gap;
                    pyattach_decref(std::exchange(second, nullptr)); // queued during a drain
                    EXPECT(pyattach_pool_size() >= 1);
                }
                EXPECT(pyattach_pool_drain() == PYATTACH_OK);
                EXPECT(pyattach_pool_size() == 0);
            }));
    ref outer = object_with_finalizer("died.append('outer'); again()");
    {
        detached gap;
        outer.drop();
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_text("sorted(died)") == "['inner', 'outer']");
    run("del again");
}

void clone_is_refused(ref &kept) {
    CHECK(pyattach_incref(kept) == PYATTACH_NOT_ATTACHED);
    CHECK(pyattach_pool_size() == 0); // nor is it deferred
}

void clone_while_attached() {
    ref kept = new_object();
    CHECK(reference_count(kept) == 1);
    REQUIRE(pyattach_incref(kept) == PYATTACH_OK);
    CHECK(reference_count(kept) == 2);
    pyattach_decref(kept);
    CHECK(reference_count(kept) == 1);
}

} // namespace

TEST_CASE("PyO3 test_pyobject_drop_attached_decreases_refcnt") {
    start_python();
    attached here;
    drop_while_attached();
}
TEST_CASE("PyO3 v0.12 test_pyobject_drop_with_gil_decreases_refcnt") {
    start_python();
    foreign_attach other; // the old names, the old way in
    drop_while_attached();
}

TEST_CASE("PyO3 test_pyobject_drop_detached_doesnt_decrease_refcnt") {
    start_python();
    attached here;
    drop_while_detached();
}
TEST_CASE("PyO3 v0.12 test_pyobject_drop_without_gil_doesnt_decrease_refcnt") {
    start_python();
    foreign_attach other;
    drop_while_detached();
}

TEST_CASE("PyO3 test_detached_drop_is_collected_on_next_attach") {
    start_python();
    ref kept;
    object *reference = nullptr;
    {
        attached here;
        reference = two_references(kept);
    }
    pyattach_decref(reference);
    {
        foreign_attach other; // which does not drain the pool
        CHECK(reference_count(kept) == 2);
    }
    CHECK(pyattach_pool_size() == 1);
    CHECK(is_collected_by_attaches());
    attached here;
    CHECK(reference_count(kept) == 1);
}

TEST_CASE("PyO3 test_attach_guard_drop_deferred_references") {
    start_python();
    attached here;
    for (bool assumed : {false, true}) {
        ref kept;
        object *reference = two_references(kept);
        {
            foreign_detach gap; // whose end releases nothing
            pyattach_decref(reference);
        }
        CHECK(pyattach_pool_size() == 1);
        pyattach_attached nested;
        REQUIRE((assumed ? pyattach_attached_assume(&nested) : pyattach_attached_begin(&nested)) == PYATTACH_OK);
        CHECK(pyattach_pool_size() == 0);
        CHECK(reference_count(kept) == 1);
        pyattach_attached_end(&nested);
    }
}

TEST_CASE("PyO3 test_drop_deferred_references_does_not_deadlock") {
    start_python();
    attached here;
    no_deadlock();
}
TEST_CASE("PyO3 v0.12 test_update_counts_does_not_deadlock") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        no_deadlock();
    });
}

TEST_CASE("PyO3 test_clone_attached") {
    start_python();
    pyattach::attached here;
    pyattach::owned first = here.token().eval("object()");
    pyattach::owned second = first.copy(here.token());
    CHECK(second.get() == first.get());
    CHECK(reference_count(first.get()) == 2);
}
TEST_CASE("PyO3 v0.12 test_clone_with_gil") {
    start_python();
    attached here;
    clone_while_attached();
}
TEST_CASE("PyO3 test_detach_updates_refcounts") {
    start_python();
    attached here;
    ref kept = new_object();
    {
        detached gap;
        clone_is_refused(kept);
    }
    CHECK(reference_count(kept) == 1);
}
TEST_CASE("PyO3 v0.12 test_clone_without_gil") {
    start_python();
    ref kept;
    {
        attached here;
        kept = new_object();
    }
    clone_is_refused(kept);
    attached here;
    CHECK(reference_count(kept) == 1);
}
TEST_CASE("PyO3 v0.12 test_clone_in_other_thread") {
    start_python();
    attached here;
    ref kept = new_object();
    run_on_thread([&] { clone_is_refused(kept); });
    CHECK(reference_count(kept) == 1);
}

TEST_CASE("PyO3 v0.12 dropping_gil_does_not_invalidate_references") {
    start_python();
    pyattach::attached here;
    pyattach::arena pool{here.token()};
    pyattach::borrowed object = pool.keep(here.token().eval("[1, 2, 3]"));
    {
        pyattach::attached nested;
        pyattach::arena inner{nested.token()};
        inner.keep(nested.token().eval("[4]"));
    }
    CHECK(reference_count(object.get()) == 1);
    CHECK(here.token().to<int>(here.token().call_method(object, "__len__")) == 3);
}

TEST_CASE("PyO3 explicit_drop_ref") {
    start_python();
    pyattach::attached here;
    pyattach::owned kept = here.token().eval("object()"), extra = kept.copy(here.token());
    here.token().xdecref(extra.release());
    CHECK(reference_count(kept.get()) == 1);
    pyattach::owned another = kept.copy(here.token());
    another.reset();
    CHECK(reference_count(kept.get()) == 1);
}

TEST_CASE("PyO3 bound_from_borrowed_ptr_constructors") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    pyattach::owned kept = py.eval("object()");
    {
        pyattach::owned made = pyattach::owned::borrow(py, kept.get());
        CHECK(reference_count(kept.get()) == 2);
    }
    CHECK(reference_count(kept.get()) == 1);
    CHECK_FALSE(pyattach::owned::borrow(py, nullptr));
    CHECK_FALSE(py.from_owned_ptr_or_opt(nullptr).has_value());
    CHECK_THROWS_AS(py.from_owned_ptr_or_err(nullptr), pyattach::python_error);
}
TEST_CASE("PyO3 borrowed_ptr_constructors") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    pyattach::owned kept = py.eval("object()");
    pyattach::borrowed view = py.from_borrowed_ptr(kept.get());
    CHECK(view.get() == kept.get());
    CHECK(reference_count(kept.get()) == 1);
    CHECK(py.from_borrowed_ptr_or_opt(kept.get()).value().get() == kept.get());
    CHECK(reference_count(kept.get()) == 1);
    CHECK_FALSE(py.from_borrowed_ptr_or_opt(nullptr).has_value());
    CHECK_THROWS_AS(py.from_borrowed_ptr_or_err(nullptr), pyattach::python_error);
}
TEST_CASE("PyO3 test_constructors_panic_on_null") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    // Nothing pending: still an error. An exception pending: that one.
    CHECK_THROWS_WITH(py.from_owned_ptr(nullptr), Catch::Matchers::StartsWith("SystemError"));
    CHECK_THROWS_WITH(py.from_borrowed_ptr(nullptr), Catch::Matchers::StartsWith("SystemError"));
    object *result = nullptr;
    REQUIRE(pyattach_eval("1 / 0", nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
    CHECK_THROWS_WITH(py.from_owned_ptr(result), Catch::Matchers::StartsWith("ZeroDivisionError"));
    CHECK(pyattach_incref(nullptr) == PYATTACH_INVALID);
}
