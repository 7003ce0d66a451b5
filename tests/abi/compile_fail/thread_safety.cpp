// Clang's thread safety analysis follows the locks.
// flags: -Wthread-safety -Werror
// compilers: clang
#include "pyattach/pyattach.hpp"

using namespace pyattach;

mutex lock, other;
int value __attribute__((guarded_by(lock)));

int forbidden_things(token py, bool condition) {
    {
        locked held{lock};
        ++value;
    }
    {
        critical_section held{py, other, lock};
        ++value;
    }
    if (lock.try_lock()) {
        ++value;
        lock.unlock();
    }
    if (lock.try_lock_for(std::chrono::seconds(1))) {
        ++value;
        lock.unlock();
    }
    synchronized<int> number;
    *number.lock() = 1;
    number.with([](int &it) { ++it; });
    static_cast<void>(condition);

#if defined(CASE_without_lock) // expect: requires holding mutex 'lock'
    return value;
#elif defined(CASE_after_lock)      // expect: requires holding mutex 'lock'
    { locked held{lock}; }
    return value;
#elif defined(CASE_wrong_lock)      // expect: requires holding mutex 'lock'
    locked held{other};
    return value;
#elif defined(CASE_wrong_section)   // expect: requires holding mutex 'lock'
    critical_section held{py, other};
    return value;
#elif defined(CASE_try_lock_failed) // expect: requires holding mutex 'lock'
    if (!lock.try_lock())
        return value;
    lock.unlock();
    return 0;
#elif defined(CASE_twice)           // expect: already held
    lock.lock();
    lock.lock();
    lock.unlock();
    return 0;
#elif defined(CASE_never_unlocked)  // expect: still held at the end of function
    lock.lock();
    return 0;
#elif defined(CASE_not_locked)      // expect: was not held
    lock.unlock();
    return 0;
#elif defined(CASE_sometimes)       // expect: not held on every path
    if (condition)
        lock.lock();
    return 0;
#else
    return 0;
#endif
}
