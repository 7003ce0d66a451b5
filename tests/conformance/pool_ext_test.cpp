// Group 3, added by this project: what a pool must not do.
#include "conformance/conformance.hpp"

#include "support/pending_exception.hpp"

TEST_CASE("ext: lost wake-up") {
    start_python();
    constexpr int droppers = 4, attachers = 3, each = 500;
    std::vector<object *> objects;
    {
        attached here;
        // Appending is one step, with the GIL and without; `died += 1` is none up to 3.9.
        run("died = []\nclass Mortal:\n    def __del__(self): died.append(1)\n");
        for (int i = 0; i < droppers * each; ++i)
            objects.push_back(eval("Mortal()").release());
        run("import sys\nsys.setswitchinterval(1e-5)\n");
    }
    barrier together("all threads to be ready", droppers + attachers);
    std::atomic<int> dropping{droppers};
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < droppers; ++i)
        tasks.push_back(std::make_unique<task>("a dropping thread to end", [&, i] {
            together.arrive_and_wait();
            for (int k = 0; k < each; ++k)
                pyattach_decref(objects[static_cast<size_t>(i * each + k)]);
            --dropping;
        }));
    for (int i = 0; i < attachers; ++i)
        tasks.push_back(std::make_unique<task>("an attaching thread to end", [&] {
            together.arrive_and_wait();
            while (dropping > 0)
                attached here;
        }));
    for (auto &thread : tasks)
        thread->join();
    attached last;
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    CHECK(eval_int("sum(isinstance(it, Mortal) for it in __import__('gc').get_objects())") == 0);
    CHECK(eval_int("len(died)") == droppers * each);
    run("sys.setswitchinterval(0.005); del Mortal");
}

TEST_CASE("ext: flush barrier") {
    start_python();
    attached here;
    run("died = []");
    pyattach_set_drain_budget(0); // so that nothing else releases them
    for (int i = 0; i < 1000; ++i) {
        ref reference = object_with_finalizer("died.append(1)");
        detached gap;
        reference.drop();
    }
    CHECK(eval_int("len(died)") == 0);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_int("len(died)") == 1000);
    pyattach_set_drain_budget(256);
    // The same with references that several threads queued.
    constexpr int threads = 4, each = 500;
    ref shared = new_object();
    for (int i = 0; i < threads * each; ++i)
        REQUIRE(pyattach_incref(shared) == PYATTACH_OK);
    {
        foreign_detach gap;
        std::vector<std::unique_ptr<task>> droppers;
        for (int i = 0; i < threads; ++i)
            droppers.push_back(std::make_unique<task>("a dropping thread to end", [&] {
                for (int round = 0; round < each; ++round)
                    pyattach_decref(shared);
            }));
    }
    CHECK(pyattach_pool_size() == threads * each);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(shared) == 1);
}

TEST_CASE("ext: pending exception") {
    start_python();
    attached here;
    run("import sys; said = []; sys.unraisablehook = lambda info: said.append(str(info.exc_value))");
    ref raising = object_with_finalizer("raise RuntimeError('from a destructor')");
    ref catching = object_with_finalizer("try: 1 / 0\nexcept ZeroDivisionError: pass");
    object *result = nullptr;
    REQUIRE(pyattach_eval("{}['mine']", nullptr, nullptr, &result) == PYATTACH_PYTHON_ERROR);
    {
        foreign_detach gap;
        raising.drop();
        catching.drop();
    }
    CHECK(pyattach_pool_size() == 2);
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    CHECK(take_error() == "KeyError: 'mine'");
    CHECK(eval_text("said") == "['from a destructor']");
    run("sys.unraisablehook = sys.__unraisablehook__");
}

TEST_CASE("ext: two interpreters") {
    start_python();
    attached here;
    pyattach_interpreter *main = pyattach_interpreter_main();
    ref of_main = new_object();
    object *reference = second_reference(of_main);
    {
        current_sub_interpreter sub;
        if (python_version() >= python_3_12) { // up to 3.11 a foreign switch goes unseen: documented
            pyattach_decref_in(main, reference);
            CHECK(pyattach_pool_drain() == PYATTACH_OK); // of the sub-interpreter
            CHECK(try_to_attach() == PYATTACH_OK);
            sub.to_main();
            CHECK(pyattach_pool_size() == 1);
            CHECK(reference_count(of_main) == 2);
            sub.back();
        }
    }
    if (python_version() < python_3_12) {
        detached gap;
        pyattach_decref_in(main, reference);
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(of_main) == 1);
}

CHILD("drops across two cycles") {
    start_python();
    pyattach_set_exit_timeout(1000000);
    static object *stale[2];
    {
        attached here;
        for (object *&reference : stale)
            reference = new_object().release();
    }
    latch inside("the thread to be inside"), ended("the interpreter to end");
    task thread("the thread of the first cycle to end", [&] {
        pyattach_attached scope;
        pyattach_detached gap;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        pyattach_decref(stale[0]); // its interpreter is the one it was attached to, though another one runs now
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        pyattach_attached_end(&scope);
    });
    inside.wait();
    pyattach_interpreter *first = pyattach_interpreter_main();
    EXPECT(!stop_python());
    start_python();
    EXPECT(pyattach_interpreter_main() != first);
    auto before = all_counters();
    ended.count_down();
    thread.join();
    pyattach_decref_in(first, stale[1]);
    attached here;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    auto after = all_counters();
    EXPECT(after.drops_leaked == before.drops_leaked + 2);
    EXPECT(after.drops_queued == before.drops_queued);
    EXPECT(after.drops_released == before.drops_released);
    here.end();
    EXPECT(!stop_python());
}
TEST_CASE("ext: second runtime cycle") { check_succeeds("drops across two cycles"); }
