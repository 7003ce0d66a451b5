// Group 2: detached scopes.
#include "conformance/conformance.hpp"

#include <stdexcept>
#include <string>

TEST_CASE("PyO3 test_detach") {
    start_python();
    auto scenario = [] {
        CHECK_FALSE(pyattach_is_attached());
        {
            attached here;
            void *tstate = current_tstate();
            CHECK(pyattach_is_attached());
            {
                detached gap;
                CHECK_FALSE(pyattach_is_attached());
                CHECK_FALSE(cpython_says_attached());
                {
                    attached again;
                    CHECK(pyattach_is_attached());
                    CHECK(cpython_says_attached());
                    detached deeper;
                    CHECK_FALSE(cpython_says_attached());
                }
                CHECK_FALSE(pyattach_is_attached());
            }
            CHECK(pyattach_is_attached());
            CHECK(current_tstate() == tstate);
        }
        CHECK_FALSE(pyattach_is_attached());
    };
    scenario();
    run_on_thread(scenario);
}

TEST_CASE("PyO3 test_detach_releases_and_acquires_gil") {
    start_python();
    attached here;
    barrier together("both threads to be ready", 2);
    std::atomic<bool> ran{false};
    task other("the thread that needs Python to end", [&] {
        together.arrive_and_wait();
        attached there;
        ran = eval_int("6 * 7") == 42;
    });
    {
        detached gap;
        together.arrive_and_wait();
        other.join();
    }
    CHECK(ran);
    CHECK(eval_int("1") == 1);
    void *state = cpython<void *()>("PyEval_SaveThread")();
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    CHECK(eval_int("2") == 2);
}

TEST_CASE("PyO3 test_detach_panics_safely") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    pyattach::owned list = py.eval("[1, 2]");
    CHECK_THROWS_AS(py.detach_unchecked([] { throw std::runtime_error("panicked"); }), std::runtime_error);
    CHECK(cpython_says_attached());
    CHECK(reference_count(list.get()) == 1);
    CHECK(py.to<int>(py.call_method(list, "__len__")) == 2);
}

TEST_CASE("PyO3 test_detach_pass_stuff_in") {
    start_python();
    pyattach::attached here;
    std::vector<int> list = {1, 2, 3};
    auto sum = here.token().detach(
        [](std::vector<int> in, std::string text, int *array) {
            array[0] = in[2];
            return in[0] + in[1] + static_cast<int>(text.size());
        },
        list, std::string("four"), list.data());
    CHECK(sum == 7);
    CHECK(list[0] == 3);
}

TEST_CASE("PyO3 test_return_value_borrows_from_arguments") {
    start_python();
    pyattach::attached here;
    auto py = here.token();
    std::string text = "borrowed";
    const char *inside = py.detach([](std::string &of) -> const char * { return of.c_str() + 4; }, std::ref(text));
    CHECK(std::string(inside) == "owed");
    pyattach::owned bytes = py.from_bytes("kept alive");
    std::string_view view = py.to_bytes(bytes);
    std::size_t size = py.detach([](std::string_view of) { return of.find("alive"); }, view);
    CHECK(size == 5);
    // The same through the C API: the data of a str stays valid while a reference to it is held.
    ref held = eval("'held ' + 'text'");
    const char *data = nullptr;
    REQUIRE(pyattach_to_utf8(held, &data, nullptr) == PYATTACH_OK);
    std::string seen;
    {
        detached gap;
        seen = data;
    }
    CHECK(seen == "held text");
    CHECK(std::string(data) == "held text");
}

TEST_CASE("PyO3 v0.12 test_allow_threads") {
    start_python();
    attached outer;
    attached inner;
    CHECK(pyattach_attach_depth() == 2);
    {
        detached gap;
        CHECK(pyattach_attach_depth() == 0);
        {
            attached again;
            CHECK(pyattach_attach_depth() == 1);
            CHECK(eval_int("4") == 4);
        }
        CHECK(pyattach_attach_depth() == 0);
    }
    CHECK(pyattach_attach_depth() == 2);
}

// As above, with a detached scope in place of the function.
TEST_CASE("PyO3 v0.12 test_allow_threads_panics_safely") {
    start_python();
    pyattach::attached here;
    pyattach::owned kept = here.token().eval("object()");
    bool caught = false;
    try {
        pyattach::detached gap{here.token()};
        CHECK_FALSE(cpython_says_attached());
        throw std::runtime_error("panicked");
    } catch (const std::runtime_error &) {
        caught = true;
    }
    CHECK(caught);
    CHECK(cpython_says_attached());
    CHECK(pyattach_attach_depth() == 1);
    CHECK(reference_count(kept.get()) == 1);
}

TEST_CASE("PyO3 v0.12 doc allow_threads and parallel_count") {
    start_python();
    pyattach::attached here;
    std::vector<std::string> words = {"Flow", "my", "tears", "the", "Policeman", "Said"};
    std::atomic<int> count{0};
    here.token().detach(
        [](std::vector<std::string> all, std::atomic<int> &found) {
            std::vector<std::unique_ptr<task>> workers;
            for (const std::string &word : all)
                workers.push_back(
                    std::make_unique<task>("a worker to end", [&] { found += word.find('a') != std::string::npos; }));
            for (auto &worker : workers)
                worker->join();
        },
        words, std::ref(count));
    CHECK(count == 3);
}

TEST_CASE("PyO3 issue 2952") {
    start_python();
    attached here;
    run("died = []");
    ref victim = object_with_finalizer("died.append(1)");
    {
        detached gap;
        victim.drop();
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(pyattach_pool_size() == 0);
    CHECK(eval_int("len(died)") == 1);
}

// The re-attach is refused after finalization. The thread's TLS destructors must see a detached thread, too.
CHILD("asks in thread-local destructors after a refused re-attach") {
    start_python();
    pyattach_set_exit_timeout(1000000);
    static std::atomic<int> asked{0}, wrong{0};
    struct local_object {
        bool armed = false;
        ~local_object() {
            if (!armed)
                return;
            ++asked;
            if (pyattach_is_attached() || pyattach_attach_depth() != 0 || cpython_says_attached())
                ++wrong;
        }
    };
    static latch inside("the thread to be inside"), ended("the interpreter to end");
    task thread("the thread to end", [] {
        static thread_local local_object local;
        local.armed = true;
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        EXPECT(!pyattach_is_attached());
        pyattach_attached_end(&scope);
    });
    inside.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    thread.join();
    EXPECT(asked == 1);
    EXPECT(wrong == 0);
}
TEST_CASE("PyO3 issue 6404") {
    check_succeeds("asks in thread-local destructors after a refused re-attach");
    // A thread that waits in its re-attach is not attached yet.
    start_python();
    if (is_free_threaded())
        return; // no thread holds it up there
    latch in_gap("the thread to be detached"), holds("the GIL to be held");
    std::atomic<bool> back{false};
    task other("the thread that comes back to end", [&] {
        attached there;
        {
            detached gap;
            in_gap.count_down();
            holds.wait();
        }
        back = true;
    });
    in_gap.wait();
    attached here;
    holds.count_down();
    other.wait_until_asleep();
    CHECK_FALSE(back);
    detached gap;
    other.join();
    CHECK(back);
}

CHILD("ends detached scopes out of order") {
    start_python();
    pyattach_attached first, second;
    pyattach_detached outer, inner;
    EXPECT(pyattach_attached_begin(&first) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&second) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&inner) == PYATTACH_OK);
    EXPECT(pyattach_detached_end(&outer) == PYATTACH_OK);
}
TEST_CASE("ext: detached scopes closed out of order") {
    check_aborts("ends detached scopes out of order", {"pyattach_detached_end", "innermost first"});
}
