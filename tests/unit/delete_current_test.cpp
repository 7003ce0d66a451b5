// A routed PyThreadState_DeleteCurrent, whose thread the end of Python waits for until the tstate is deleted: else the
// end might free it meanwhile.
#include "core/interpreter.hpp"

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;
using pyattach::presence;
namespace cpython = pyattach::cpython;

namespace {

const cpython::table *real;
int deleted;
presence when_deleted;

presence presence_here() {
    const pyattach::participant *self =
        pyattach::find_participant(pyattach::own_record(), *pyattach::main_interpreter());
    return self ? self->presence_now.load() : presence::outside;
}
void note() {
    ++deleted;
    when_deleted = presence_here();
}

// While one exists, the functions with which the library deletes a tstate note the presence of their thread.
struct watched_table {
    cpython::table changed = *real;
    watched_table() {
        changed.tstate_delete_current = [] {
            note();
            real->tstate_delete_current();
        };
        changed.tstate_delete = [](cpython::thread_state *tstate) {
            note();
            real->tstate_delete(tstate);
        };
        cpython::published = &changed;
    }
    ~watched_table() { cpython::published = real; }
};

} // namespace

TEST_CASE("a routed DeleteCurrent deletes the tstate while its thread is inside the gate") {
    start_python();
    real = &cpython::python();
    run_on_thread([] {
        void *const tstate = pyattach_gilstate_new_tstate(cpython::python().main_interpreter());
        pyattach_gilstate_acquire_thread(tstate);
        EXPECT(support::current_tstate() == tstate);
        support::cpython<void(void *)>("PyThreadState_Clear")(tstate);
        deleted = 0;
        {
            watched_table table;
            pyattach_gilstate_delete_current();
        }
        EXPECT(deleted == 1);
        EXPECT(when_deleted == presence::attached);
        EXPECT(presence_here() == presence::outside);
        EXPECT(!gilstate_tstate());
    });
}
