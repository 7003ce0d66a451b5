// The detached scope.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

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

TEST_CASE("a thread that other code attached goes in and out of a detached scope") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        void *state = current_tstate();
        {
            detached gap;
            CHECK_FALSE(cpython_says_attached());
            attached again;
            CHECK(current_tstate() == state);
        }
        CHECK(current_tstate() == state);
        CHECK(pyattach_is_attached());
    });
}

TEST_CASE("a thread that Python started goes in and out of a detached scope") {
    start_python();
    attached here;
    publish("native", native_function([] {
                void *state = current_tstate();
                {
                    detached gap;
                    EXPECT(!cpython_says_attached());
                    attached again;
                    EXPECT(current_tstate() == state);
                }
                EXPECT(current_tstate() == state);
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
