// Scopes that would end where they began, and answers that must be looked at.
// flags: -Werror
#include "pyattach/pyattach.hpp"

using namespace pyattach;

void forbidden_things(token py, synchronized<int> &value, mutex &lock) {
    detached gap{std::nothrow, py};
    if (gap.resume() != PYATTACH_OK)
        return;
    static_cast<void>(value), static_cast<void>(lock);

#if defined(CASE_attached) // expect: nodiscard
    attached{};
#elif defined(CASE_attached_nothrow) // expect: nodiscard
    attached{std::nothrow};
#elif defined(CASE_assumed)          // expect: nodiscard
    attached::assume();
#elif defined(CASE_detached)         // expect: nodiscard
    detached{py};
#elif defined(CASE_forbidden)        // expect: nodiscard
    forbidden{};
#elif defined(CASE_section)          // expect: nodiscard
    critical_section{py, nullptr};
#elif defined(CASE_locked)           // expect: nodiscard
    locked{lock};
#elif defined(CASE_guard)            // expect: nodiscard
    value.lock();
#elif defined(CASE_arena)            // expect: nodiscard
    arena{py};
#elif defined(CASE_resume)           // expect: nodiscard
    gap.resume();
#elif defined(CASE_release)          // expect: nodiscard
    py.eval("1").release();
#elif defined(CASE_steal)            // expect: nodiscard
    owned::steal(py, nullptr);
#elif defined(CASE_run)              // expect: nodiscard
    py.run(std::nothrow, "pass");
#elif defined(CASE_detach)           // expect: nodiscard
    py.detach(std::nothrow, [] {});
#elif defined(CASE_lock_detached)    // expect: nodiscard
    lock_detached(py, lock);
#elif defined(CASE_lock_several)     // expect: nodiscard
    mutex other;
    lock_detached(py, lock, other);
#elif defined(CASE_lock_for)         // expect: nodiscard
    lock_detached_for(lock, std::chrono::seconds(1));
#elif defined(CASE_try_lock_for)     // expect: nodiscard
    lock.try_lock_for(std::chrono::seconds(1));
#elif defined(CASE_recursive)        // expect: nodiscard
    recursive_mutex recursive;
    recursive.try_lock();
#elif defined(CASE_join_for)         // expect: nodiscard
    std::thread thread;
    join_detached_for(thread, std::chrono::seconds(1));
#endif
}
