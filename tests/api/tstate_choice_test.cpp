// Which tstate an attach uses: the one in the GILState slot, else the thread's warm one, else a new one.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/tstate_counts.hpp"

using namespace support;

namespace {

bool attaching_binds_the_slot() { return python_version() >= 0x030c0000; }

void *new_state() {
    void *interpreter = cpython<void *()>("PyInterpreterState_Main")();
    return cpython<void *(void *)>("PyThreadState_New")(interpreter);
}
void restore(void *state) { cpython<void(void *)>("PyEval_RestoreThread")(state); }
void *save() { return cpython<void *()>("PyEval_SaveThread")(); }
void destroy_current(void *state) {
    cpython<void(void *)>("PyThreadState_Clear")(state);
    cpython<void()>("PyThreadState_DeleteCurrent")();
}

} // namespace

// As hosts do that keep an outer PyGILState_Ensure until the thread ends.
TEST_CASE("a tstate that the host keeps for the thread is used each time, and stays the host's") {
    start_python();
    run_on_thread([] {
        auto ensure = cpython<int()>("PyGILState_Ensure");
        auto release = cpython<void(int)>("PyGILState_Release");
        auto before = all_counters();
        int outer = ensure();
        void *theirs = save();
        for (int i = 0; i < 3; ++i) {
            attached here;
            CHECK(current_tstate() == theirs);
            detached gap;
            attached again;
            CHECK(current_tstate() == theirs);
        }
        CHECK(gilstate_tstate() == theirs);
        CHECK(pyattach_thread_release() == PYATTACH_OK); // none of ours
        CHECK(gilstate_tstate() == theirs);
        auto after = all_counters();
        CHECK(after.states_created == before.states_created);
        CHECK(after.states_deleted == before.states_deleted);
        CHECK(after.states_adopted - before.states_adopted == 6);
        restore(theirs);
        release(outer); // deletes it
        CHECK(gilstate_tstate() == nullptr);
        attached here;
        CHECK(eval_int("1") == 1);
        CHECK(all_counters().states_created - before.states_created == 1);
    });
}

TEST_CASE("on the main thread its own tstate is used") {
    start_python();
    auto before = all_counters();
    {
        attached here;
        CHECK(cpython<std::uint64_t(void *)>("PyThreadState_GetID")(current_tstate()) == 1);
    }
    CHECK(all_counters().states_created == before.states_created);
    CHECK(pyattach_thread_release() == PYATTACH_OK); // leaves it alone
    attached here;
    CHECK(cpython<std::uint64_t(void *)>("PyThreadState_GetID")(current_tstate()) == 1);
}

TEST_CASE("a warm tstate is used again after other code emptied the GILState slot, and is put back into it") {
    start_python();
    if (!keeps_tstates())
        return;
    run_on_thread([] {
        { attached here; }
        void *tstate = gilstate_tstate();
        void *theirs = new_state();
        restore(theirs);
        destroy_current(theirs); // from 3.12 on it takes the slot with it
        CHECK((gilstate_tstate() == nullptr) == attaching_binds_the_slot());
        {
            attached here;
            CHECK(current_tstate() == tstate);
            CHECK(gilstate_tstate() == tstate);
            foreign_attach nested; // a second state here would be the end of the process
            CHECK(current_tstate() == tstate);
        }
        CHECK(gilstate_tstate() == tstate);
        foreign_attach other;
        CHECK(current_tstate() == tstate);
    });
}

TEST_CASE("a second tstate that other code makes for the thread may exist beside the warm one") {
    start_python();
    if (!keeps_tstates())
        return;
    run_on_thread([] {
        { attached here; }
        void *tstate = gilstate_tstate();
        void *theirs = new_state();
        restore(theirs);
        if (attaching_binds_the_slot()) { // before 3.12 a second tstate of other code is in no slot
            attached nested;
            CHECK(current_tstate() == theirs);
            CHECK(pyattach_attach_depth() == 1);
            detached gap;
            attached again;
            CHECK(eval_int("1") == 1);
        }
        CHECK(save() == theirs);
        {
            attached here;
            CHECK(eval_int("2") == 2);
            detached gap;
        }
        restore(theirs);
        destroy_current(theirs);
        attached here;
        CHECK(current_tstate() == tstate);
        CHECK(eval_int("3") == 3);
    });
}

// Leaving a sub-interpreter empties the slot from 3.12 on.
TEST_CASE("after a scope in a sub-interpreter the GILState slot holds the warm tstate of the main one again") {
    start_python();
    attached here;
    void *main_state = current_tstate();
    void *sub_state = cpython<void *()>("Py_NewInterpreter")();
    REQUIRE(sub_state);
    void *sub_itself = cpython<void *(void *)>("PyThreadState_GetInterpreter")(sub_state);
    cpython<void *(void *)>("PyThreadState_Swap")(main_state);
    {
        detached gap;
        pyattach_interpreter *sub = run_on_thread([&] {
            void *visitor = cpython<void *(void *)>("PyThreadState_New")(sub_itself);
            restore(visitor);
            pyattach_interpreter *handle = pyattach_interpreter_current();
            destroy_current(visitor);
            return handle;
        });
        REQUIRE(sub);
        run_on_thread([&] {
            { attached first; }
            void *tstate = gilstate_tstate();
            for (int i = 0; i < 3; ++i) {
                attached visit(sub);
                CHECK(pyattach_is_attached() == 1);
                CHECK(pyattach_interpreter_current() == sub);
                CHECK(current_tstate() != tstate);
            }
            if (keeps_tstates()) {
                CHECK(gilstate_tstate() == tstate);
                foreign_attach other;
                CHECK(current_tstate() == tstate);
            }
            attached again;
            CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
            if (keeps_tstates())
                CHECK(current_tstate() == tstate);
            {
                attached visit(sub); // from the main interpreter, and back
                CHECK(pyattach_interpreter_current() == sub);
            }
            CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
            foreign_attach nested;
            CHECK(eval_int("4") == 4);
        });
    }
    cpython<void *(void *)>("PyThreadState_Swap")(sub_state);
    cpython<void(void *)>("Py_EndInterpreter")(sub_state);
    cpython<void *(void *)>("PyThreadState_Swap")(main_state);
    CHECK(eval_int("5") == 5);
}
