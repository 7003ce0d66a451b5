// The detached scope.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

// PyO3 test_detach, test_try_attach_ok_when_detached
TEST_CASE("a detached scope detaches, a scope in it attaches again, and each gives back what was") {
    start_python();
    run_on_thread([] {
        CHECK_FALSE(pyattach_is_attached());
        {
            attached here;
            void *state = current_state();
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
            CHECK(current_state() == state);
        }
        CHECK_FALSE(pyattach_is_attached());
    });
}

// PyO3 v0.12 test_allow_threads
TEST_CASE("the depth is 0 in a detached scope and comes back after it") {
    start_python();
    attached outer;
    attached inner;
    CHECK(pyattach_attach_depth() == 2);
    {
        detached gap;
        CHECK(pyattach_attach_depth() == 0);
        attached again;
        CHECK(pyattach_attach_depth() == 1);
    }
    CHECK(pyattach_attach_depth() == 2);
}

// PyO3 test_detach_releases_and_acquires_gil
TEST_CASE("others run Python during a detached scope, and detaching by hand still works after it") {
    start_python();
    attached here;
    barrier meet("both threads to meet", 2);
    task other("the other thread to end", [&] {
        {
            attached there;
            run("met = 'in the gap'");
        }
        meet.arrive_and_wait();
    });
    {
        detached gap;
        meet.arrive_and_wait();
    }
    CHECK(eval_text("met") == "in the gap");
    { foreign_detach by_hand; }
    CHECK(pyattach_is_attached());
    detached gap; // for the join
    other.join();
}

TEST_CASE("a thread that is not attached cannot detach, and NULL is refused") {
    start_python();
    pyattach_detached scope;
    CHECK(pyattach_detached_begin(&scope) == PYATTACH_NOT_ATTACHED);
    CHECK(pyattach_detached_begin(nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_detached_end(nullptr) == PYATTACH_INVALID);
    run_on_thread([] {
        pyattach_detached nested;
        CHECK(pyattach_detached_begin(&nested) == PYATTACH_NOT_ATTACHED);
        attached here;
        detached gap;
        CHECK(pyattach_detached_begin(&nested) == PYATTACH_NOT_ATTACHED);
    });
}

// PyO3 v0.12 documentation of allow_threads
TEST_CASE("native threads count in parallel during a detached scope") {
    start_python();
    attached here;
    const std::string words[] = {"Flow", "my", "tears", "the", "Policeman", "Said"};
    std::atomic<int> counted{0};
    {
        detached gap;
        std::vector<std::unique_ptr<task>> workers;
        for (const std::string &word : words)
            workers.push_back(std::make_unique<task>("a counting thread to end", [&counted, &word] {
                for (char letter : word)
                    counted += letter == 'a';
            }));
        for (auto &worker : workers)
            worker->join();
    }
    CHECK(counted == 3);
}

// PyO3 test_detach_pass_stuff_in, test_return_value_borrows_from_arguments
TEST_CASE("data of a Python object stays valid across a detached scope while a reference is held") {
    start_python();
    attached here;
    ref text = eval("'held ' + 'text'");
    const char *data = nullptr;
    REQUIRE(pyattach_to_utf8(text, &data, nullptr) == PYATTACH_OK);
    std::string seen;
    {
        detached gap;
        seen = data;
    }
    CHECK(seen == "held text");
    CHECK(std::string(data) == "held text");
}

// PyO3 #2952
TEST_CASE("references dropped in a detached scope are released when it ends, before the caller goes on") {
    start_python();
    attached here;
    run("died = []");
    ref object = object_whose_death("died.append('now')");
    {
        detached gap;
        object.drop();
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(pyattach_pool_size() == 0);
    CHECK(eval_int("len(died)") == 1);
}

TEST_CASE("a thread that other code attached goes in and out of a detached scope") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        void *state = current_state();
        {
            detached gap;
            CHECK_FALSE(cpython_says_attached());
            attached again;
            CHECK(current_state() == state);
        }
        CHECK(current_state() == state);
        CHECK(pyattach_is_attached());
    });
}

TEST_CASE("a thread that Python started goes in and out of a detached scope") {
    start_python();
    attached here;
    publish("native", native_function([] {
                void *state = current_state();
                {
                    detached gap;
                    EXPECT(!cpython_says_attached());
                    attached again;
                    EXPECT(current_state() == state);
                }
                EXPECT(current_state() == state);
            }));
    run("import threading\nfailed, hook = [], threading.excepthook\nthreading.excepthook = lambda args: "
        "failed.append(str(args.exc_value))\n"
        "t = threading.Thread(target=native); t.start(); t.join()\n"
        "threading.excepthook = hook\ndel native");
    CHECK(eval_text("failed") == "[]");
}

TEST_CASE("a detached scope may follow an assumed one without any scope of ours around them") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        pyattach_attached assumed;
        REQUIRE(pyattach_attached_assume(&assumed) == PYATTACH_OK);
        {
            detached gap;
            CHECK(pyattach_attach_depth() == 0);
        }
        CHECK(pyattach_attach_depth() == 1);
        pyattach_attached_end(&assumed);
        CHECK(cpython_says_attached());
    });
}

TEST_CASE("scopes alternate a hundred deep") {
    start_python();
    run_on_thread([] {
        constexpr int depth = 100;
        static pyattach_attached attached_scopes[depth];
        static pyattach_detached detached_scopes[depth];
        for (int i = 0; i < depth; ++i) {
            REQUIRE(pyattach_attached_begin(&attached_scopes[i]) == PYATTACH_OK);
            REQUIRE(pyattach_detached_begin(&detached_scopes[i]) == PYATTACH_OK);
        }
        for (int i = depth; i-- > 0;) {
            REQUIRE(pyattach_detached_end(&detached_scopes[i]) == PYATTACH_OK);
            REQUIRE(pyattach_is_attached());
            pyattach_attached_end(&attached_scopes[i]);
            REQUIRE_FALSE(pyattach_is_attached());
        }
    });
}
