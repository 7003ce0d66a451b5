// References that wait in the pool when Python finalizes on a thread that has never used the library. With an extension
// module that is usual: its native threads use the library, and the main thread of `python3` need not.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/tstate_counts.hpp"
#include "support/plain_python.hpp"
#include "support/host.hpp"

using namespace support;

CHILD("references wait when a thread unknown to the library ends Python") {
    start_as_host();
    void *state = plain::python().save();
    run_on_thread([] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        struct _object *object = nullptr;
        EXPECT(pyattach_eval("object()", nullptr, nullptr, &object) == PYATTACH_OK);
        pyattach_attached_end(&scope);
        pyattach_decref(object);
    });
    pyattach_stats before = {};
    before.struct_size = sizeof before;
    pyattach_stats_get(&before);
    EXPECT(before.drops_queued == 1);
    EXPECT(before.drops_released == 0);
    plain::python().restore(state);
    EXPECT(plain::python().finalize() == 0);
    pyattach_stats after = {};
    after.struct_size = sizeof after;
    pyattach_stats_get(&after);
    EXPECT(after.drops_released == 1);
    EXPECT(after.drops_leaked == 0);
}
TEST_CASE("the pool is drained by a finalizing thread that never used the library") {
    check_succeeds("references wait when a thread unknown to the library ends Python");
}

CHILD("a crowd of references while the gate is closed") {
    start_python();
    constexpr int many = 10000;
    static object *given;
    {
        attached here;
        given = new_object().release();
        for (int i = 1; i < many; ++i)
            EXPECT(pyattach_incref(given) == PYATTACH_OK);
    }
    auto give_back = [](pyattach_interpreter *, void *) {
        run_on_thread([] {
            for (int i = 0; i < many; ++i)
                pyattach_decref(given);
        });
        EXPECT(pyattach_pool_size() == many);
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), give_back, nullptr) == PYATTACH_OK);
    const pyattach_stats before = all_counters();
    EXPECT(!stop_python());
    const pyattach_stats after = all_counters();
    EXPECT(after.drops_released - before.drops_released == many);
    EXPECT(after.drops_leaked == before.drops_leaked);
}
TEST_CASE("references given back during finalization are released by its end, however many") {
    check_succeeds("a crowd of references while the gate is closed");
}
