// A thread that attaches after the library's exit hook has a record until its last scope ends, also while a drain or
// the reaper runs destructors that attach.
#include "support/catch.hpp"

#include <memory>
#include <vector>

#include "support/late_tls_destructor.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

namespace {

// A reference to an object whose destructor attaches, as one written in C++ does. Attached.
ref with_attaching_destructor() {
    static int anything;
    return ref(cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New")(
        &anything, nullptr, [](object *) { attached again; }));
}

// Not attached: the decref is queued.
void have_one_wait() {
    object *waiting;
    {
        foreign_attach other;
        waiting = with_attaching_destructor().release();
    }
    pyattach_decref(waiting);
}

void at_the_very_end(std::function<void()> last) {
    late_tls_destructor::key();
    late_tls_destructor late{std::move(last), 0};
    run_on_thread([&] {
        attached here;
        pthread_setspecific(late_tls_destructor::key(), &late);
    });
    CHECK(late.calls == last_round);
}

} // namespace

TEST_CASE("after the exit hook, nested in a foreign attach: destructors that a drain runs may attach") {
    start_python();
    int depth = 0;
    at_the_very_end([&] {
        have_one_wait();
        foreign_attach other;
        attached here;
        depth = pyattach_attach_depth();
    });
    CHECK(depth == 1);
}

TEST_CASE("after the exit hook: destructors that pyattach_pool_drain runs may attach") {
    start_python();
    pyattach_status drained = PYATTACH_INVALID;
    at_the_very_end([&] {
        have_one_wait();
        foreign_attach other;
        drained = pyattach_pool_drain(); // the record is written after it was freed: for the address sanitizer
    });
    CHECK(drained == PYATTACH_OK);
}

TEST_CASE("after the exit hook, with a new tstate: destructors that the reaper runs may attach") {
    start_python();
    if (!keeps_tstates())
        return;
    int depth = 0;
    {
        latch may_end("permission to end");
        std::vector<std::unique_ptr<task>> threads;
        ref key; // made here: making one is a race inside CPython 3.13
        {
            attached here;
            key = eval("'mine'");
        }
        for (int i = 0; i < 70; ++i)
            threads.push_back(std::make_unique<task>("a thread with a warm state", [&] {
                {
                    attached inside;
                    ref reference = with_attaching_destructor();
                    EXPECT(cpython<int(object *, object *, object *)>("PyDict_SetItem")(
                               cpython<object *()>("PyThreadState_GetDict")(), key, reference) == 0);
                }
                may_end.wait();
            }));
        // The late thread has its warm state before the others end, so it reaps nothing until it is late.
        late_tls_destructor::key();
        late_tls_destructor late{[&] {
                                     attached here;
                                     depth = pyattach_attach_depth();
                                 },
                                 0};
        run_on_thread([&] {
            { attached here; }
            pthread_setspecific(late_tls_destructor::key(), &late);
            may_end.count_down();
            for (auto &thread : threads)
                thread->join();
        });
    }
    CHECK(depth == 1);
}
