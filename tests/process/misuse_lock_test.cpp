// Misused locks: each aborts with a sentence.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstring>
#include <optional>

using namespace support;

CHILD("unlock a mutex that is not locked") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_unlock(&mutex);
}
CHILD("unlock a mutex twice") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&mutex);
    pyattach_mutex_unlock(&mutex);
    pyattach_mutex_unlock(&mutex);
}
TEST_CASE("unlocking a mutex that is not locked aborts") {
    check_aborts("unlock a mutex that is not locked", {"pyattach_mutex_unlock", "not locked"});
    check_aborts("unlock a mutex twice", {"pyattach_mutex_unlock", "not locked"});
}

CHILD("run a once inside itself") {
    static pyattach_once once = PYATTACH_ONCE_INIT;
    auto own = [](void *) {
        return pyattach_once_run(
            &once, [](void *) { return PYATTACH_OK; }, nullptr);
    };
    EXPECT(pyattach_once_run(&once, own, nullptr) == PYATTACH_OK);
}
TEST_CASE("an initializer that runs its own once aborts") {
    check_aborts("run a once inside itself", {"pyattach_once_run", "own once"});
}

CHILD("end critical sections out of order") {
    start_python();
    attached here;
    ref a = new_object(), b = new_object();
    pyattach_critical_section first, second;
    EXPECT(pyattach_critical_section_begin(&first, a) == PYATTACH_OK);
    EXPECT(pyattach_critical_section_begin(&second, b) == PYATTACH_OK);
    pyattach_critical_section_end(&first);
}
CHILD("end a critical section twice") {
    start_python();
    attached here;
    ref a = new_object();
    pyattach_critical_section section;
    EXPECT(pyattach_critical_section_begin(&section, a) == PYATTACH_OK);
    pyattach_critical_section_end(&section);
    pyattach_critical_section_end(&section);
}
CHILD("end a critical section that was refused") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_critical_section section;
    EXPECT(pyattach_critical_section_begin_mutex(&section, &mutex) == PYATTACH_NOT_ATTACHED);
    pyattach_critical_section_end(&section);
}
CHILD("end a critical section that was never begun") {
    start_python();
    attached here;
    pyattach_critical_section section;
    std::memset(&section, 0, sizeof section);
    pyattach_critical_section_end(&section);
}
CHILD("end a critical section on another thread") {
    start_python();
    attached here;
    ref a = new_object();
    pyattach_critical_section section;
    EXPECT(pyattach_critical_section_begin(&section, a) == PYATTACH_OK);
    detached gap;
    run_on_thread([&] {
        attached there;
        pyattach_critical_section_end(&section);
    });
}
CHILD("end a critical section while detached") {
    start_python();
    attached here;
    ref a = new_object();
    pyattach_critical_section section;
    EXPECT(pyattach_critical_section_begin(&section, a) == PYATTACH_OK);
    detached gap;
    pyattach_critical_section_end(&section);
}
CHILD("end a critical section while detached by other code, which had attached") {
    start_python();
    run_on_thread([] {
        foreign_attach there;
        ref a = new_object();
        for (int round = 0;; ++round) { // the second time, the library knows the thread
            pyattach_critical_section section;
            EXPECT(pyattach_critical_section_begin(&section, a) == PYATTACH_OK);
            std::optional<foreign_detach> gap;
            if (round == 1)
                gap.emplace();
            pyattach_critical_section_end(&section);
        }
    });
}
TEST_CASE("ending a critical section out of order, twice, unbegun, elsewhere or detached aborts") {
    check_aborts("end critical sections out of order", {"pyattach_critical_section_end", "innermost first"});
    check_aborts("end a critical section twice", {"pyattach_critical_section_end", "not an open section", "once"});
    check_aborts("end a critical section that was refused",
                 {"pyattach_critical_section_end", "not an open section", "status"});
    check_aborts("end a critical section that was never begun", {"pyattach_critical_section_end"});
    check_aborts("end a critical section on another thread", {"pyattach_critical_section_end", "thread"});
    check_aborts("end a critical section while detached", {"pyattach_critical_section_end", "attached"});
    check_aborts("end a critical section while detached by other code, which had attached",
                 {"pyattach_critical_section_end", "attached"});
}
