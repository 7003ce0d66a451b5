// Group 8, added by this project: foreign attaches beside attached scopes, and adopted thread states.
#include "conformance/conformance.hpp"

TEST_CASE("ext: foreign PyGILState pair between and inside our scopes") {
    start_python();
    run_on_thread([] {
        auto before = all_counters();
        {
            foreign_attach first; // before the library has a tstate
            CHECK(cpython_says_attached());
        }
        {
            attached here;
            make_thread_local();
            run("local.value = 7");
        }
        void *own_tstate = gilstate_tstate();
        for (int i = 0; i < 3; ++i) {
            foreign_attach between;
            if (keeps_tstates()) {
                CHECK(current_tstate() == own_tstate);
                CHECK(eval_int("local.value") == 7);
            }
        }
        CHECK(gilstate_tstate() == own_tstate);
        {
            attached here;
            void *tstate = current_tstate();
            {
                foreign_attach inside;
                CHECK(current_tstate() == tstate);
            }
            CHECK(current_tstate() == tstate);
            {
                detached gap;
                foreign_attach in_gap;
                CHECK(current_tstate() == tstate);
                attached nested;
                CHECK(pyattach_attach_depth() == 1);
            }
            CHECK(current_tstate() == tstate);
            CHECK(eval_int("5") == 5);
        }
        CHECK(gilstate_tstate() == own_tstate);
        if (keeps_tstates())
            CHECK(all_counters().states_created == before.states_created + 1);
    });
}

TEST_CASE("ext: adopted state") {
    start_python();
    auto before = all_counters();
    {
        attached here;
        publish("use", native_function([] {
                    void *theirs = current_tstate();
                    {
                        detached gap;
                        attached here_too;
                        EXPECT(current_tstate() == theirs);
                    }
                    EXPECT(current_tstate() == theirs);
                    {
                        foreign_detach gap;
                        attached inside;
                        EXPECT(current_tstate() == theirs);
                    }
                    EXPECT(pyattach_thread_release() == PYATTACH_INVALID);
                }));
        run("import threading\n"
            "used = []\n"
            "def body():\n"
            "    use(); use()\n"
            "    used.append(threading.current_thread().name)\n"
            "threads = [threading.Thread(target=body) for _ in range(5)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "del use");
        CHECK(eval_int("len(used)") == 5);
    }
    auto after = all_counters();
    CHECK(after.states_created == before.states_created);
    CHECK(after.states_deleted == before.states_deleted);
    CHECK(after.states_dead == before.states_dead);
}
