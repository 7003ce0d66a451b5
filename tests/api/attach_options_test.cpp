// Attached scopes with options: the struct, the interpreter, and no_drain, with which no foreign code runs on the way
// in. What the label is for is in tests/process.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

#include <cstddef>
#include <mutex>

using namespace support;

namespace {

// References of other threads wait in the pool, up to `most`, as long as the object lives. Attached.
class waiting_references {
  public:
    explicit waiting_references(int most) : object_(new_object()) {
        for (int i = 0; i < most; ++i)
            EXPECT(pyattach_incref(object_) == PYATTACH_OK);
    }
    void leave_one() {
        run_on_thread([this] { pyattach_decref(object_); });
    }

  private:
    ref object_;
};

bool is_drained() { return pyattach_pool_size() == 0; }
bool is_drained_by_nested() {
    attached nested;
    return is_drained();
}

} // namespace

TEST_CASE("without options, and with a struct of zeros, the scope is that of pyattach_attached_begin") {
    start_python();
    attached outer;
    waiting_references waiting(2);
    detached gap;
    const pyattach_attach_options zeros = attach_options(false);
    for (const pyattach_attach_options *options : {static_cast<const pyattach_attach_options *>(nullptr), &zeros})
        run_on_thread([&] {
            waiting.leave_one();
            pyattach_attached scope, nested;
            REQUIRE(pyattach_attached_begin_with(&scope, options) == PYATTACH_OK);
            CHECK(cpython_says_attached());
            CHECK(is_drained());
            REQUIRE(pyattach_attached_begin_with(&nested, options) == PYATTACH_OK);
            CHECK(pyattach_attach_depth() == 2);
            pyattach_attached_end(&nested);
            pyattach_attached_end(&scope);
            CHECK_FALSE(cpython_says_attached());
        });
}

TEST_CASE("a scope with options is refused as one without, and so is a struct_size of zero") {
    start_python();
    pyattach_attached scope;
    pyattach_attach_options options = attach_options(true, "label");
    CHECK(pyattach_attached_begin_with(nullptr, &options) == PYATTACH_INVALID);
    CHECK(pyattach_attached_begin_with(nullptr, nullptr) == PYATTACH_INVALID);
    {
        forbidden traverse;
        CHECK(pyattach_attached_begin_with(&scope, &options) == PYATTACH_FORBIDDEN);
    }
    options.struct_size = 0;
    CHECK(pyattach_attached_begin_with(&scope, &options) == PYATTACH_INVALID);
    CHECK_FALSE(cpython_says_attached());
    // A refused scope leaves nothing behind: this thread drains.
    attached here;
    waiting_references waiting(1);
    {
        detached gap;
        waiting.leave_one();
    }
    CHECK(is_drained());
}

TEST_CASE("fields of the options beyond struct_size are not read") {
    start_python();
    attached outer;
    waiting_references waiting(1);
    detached gap;
    waiting.leave_one();
    pyattach_attach_options options = attach_options(true, nullptr, reinterpret_cast<pyattach_interpreter *>(8));
    options.struct_size = offsetof(pyattach_attach_options, interpreter);
    attached_with here(options);
    CHECK(is_drained());
}

TEST_CASE("nothing is released from the pool on the way into a no_drain scope, whatever the thread has done before") {
    start_python();
    attached outer;
    waiting_references waiting(3);
    detached gap;
    for (bool is_warm : {false, true}) {
        waiting.leave_one();
        run_on_thread([&] {
            if (is_warm) {
                attached_no_drain warm;
            }
            {
                attached_no_drain here;
                CHECK(cpython_says_attached());
                CHECK(pyattach_pool_size() == 1);
                CHECK(eval_int("6 * 7") == 42);
            }
            CHECK_FALSE(cpython_says_attached());
            attached here; // the scope has ended
            CHECK(is_drained());
        });
    }
}

TEST_CASE("inside a no_drain scope neither nested scopes nor the ends of detached ones release anything") {
    start_python();
    attached outer;
    waiting_references waiting(4);
    detached outer_gap;
    run_on_thread([&] {
        { attached warm; }
        waiting.leave_one();
        attached_no_drain here;
        CHECK_FALSE(is_drained_by_nested());
        {
            detached gap;
            CHECK_FALSE(run_on_thread([] { return cpython_says_attached(); }));
        }
        CHECK(pyattach_pool_size() == 1);
        {
            detached gap;
            attached inner; // not nested: it attaches
            CHECK(pyattach_pool_size() == 1);
        }
        CHECK(pyattach_pool_drain() == PYATTACH_OK); // which was asked for
        CHECK(is_drained());
    });
}

TEST_CASE("nested no_drain scopes end in any order, and with the last one the thread drains again") {
    start_python();
    attached outer;
    waiting_references waiting(4);
    for (bool outer_first : {true, false}) {
        pyattach_attached first, second, plain;
        const pyattach_attach_options options = attach_options(true);
        REQUIRE(pyattach_attached_begin_with(&first, &options) == PYATTACH_OK);
        REQUIRE(pyattach_attached_begin(&plain) == PYATTACH_OK);
        REQUIRE(pyattach_attached_begin_with(&second, &options) == PYATTACH_OK);
        CHECK(pyattach_attach_depth() == 4);
        {
            detached gap;
            waiting.leave_one();
        }
        CHECK_FALSE(is_drained());
        pyattach_attached_end(outer_first ? &first : &second);
        CHECK_FALSE(is_drained_by_nested());
        pyattach_attached_end(outer_first ? &second : &first);
        CHECK(is_drained_by_nested());
        pyattach_attached_end(&plain);
        CHECK(pyattach_attach_depth() == 1);
    }
}

TEST_CASE("a no_drain scope that nests in what other code attached holds off the drain, too") {
    start_python();
    attached outer;
    waiting_references waiting(2);
    detached outer_gap;
    waiting.leave_one();
    run_on_thread([&] {
        foreign_attach other;
        {
            attached_no_drain here;
            CHECK(pyattach_pool_size() == 1);
            { detached gap; }
            CHECK(pyattach_pool_size() == 1);
        }
        CHECK(is_drained_by_nested());
    });
}

TEST_CASE("a new thread that attaches with no_drain leaves the tstates of ended threads to others") {
    start_python();
    if (!keeps_tstates() || is_free_threaded())
        return;
    constexpr int threads = 20; // more than make a batch
    static std::atomic<int> finalized;
    finalized = 0;
    {
        attached here;
        make_thread_local();
        publish("finalized", native_function([] { ++finalized; }));
        run("class Local:\n    def __del__(self): finalized()\n");
    }
    run_on_threads(threads, "the threads to end", [](int) {
        attached_no_drain here;
        run("local.value = Local()");
    });
    const auto before = all_counters();
    CHECK(before.states_dead >= threads);
    run_on_thread([&] {
        attached_no_drain here;
        CHECK(all_counters().states_dead == before.states_dead);
        CHECK(finalized == 0);
    });
    run_on_thread([] { attached here; });
    CHECK(finalized == threads);
    attached here;
    run("del finalized, Local");
}

TEST_CASE("a scope with options attaches to the interpreter that they name") {
    start_python();
    attached outer;
    sub_interpreter sub;
    pyattach_interpreter *handle = sub.handle();
    for (bool no_drain : {false, true}) {
        attached_with here(attach_options(no_drain, "there", handle));
        CHECK(pyattach_interpreter_current() == handle);
        attached_with nested(attach_options(no_drain, "there, nested", handle));
        CHECK(pyattach_attach_depth() == 3);
        nested.end();
        here.end();
        CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
    }
    sub.end();
}

// The order that docs/locks.md gives: locks first, then the interpreter, with no_drain if a destructor takes the lock.
TEST_CASE("a thread attaches while it holds a std::mutex that a __del__ in the pool takes") {
    start_python();
    static std::mutex lock;
    static std::atomic<int> released;
    released = 0;
    run_on_thread([] { // the thread that makes the object also releases it, also if Python is free-threaded
        ref object;
        {
            attached here;
            publish("release", native_function([] {
                        std::lock_guard<std::mutex> held(lock);
                        ++released;
                    }));
            object = object_with_finalizer("release()");
        }
        object.drop(); // into the pool
        {
            std::lock_guard<std::mutex> held(lock);
            attached_no_drain here;
            CHECK(released == 0);
            detached gap;
        }
        attached here;
        CHECK(released == 1);
        run("del release");
    });
}
