// A thread that leaves its tstate behind, on a free-threaded Python, too. There the library's exit hook destroys the
// tstate, unless other code has attached the thread: which is what happens here, around the hook.
#pragma once

#include <pthread.h>

#include "support/scopes.hpp"

namespace support {
namespace detail {

inline void attach_before_the_hook(void *value);
inline void detach_after_the_hook(void *value);
inline pthread_key_t made_key(void (*destructor)(void *)) {
    pthread_key_t key;
    EXPECT(pthread_key_create(&key, destructor) == 0);
    return key;
}
// The destructors run in the order of the keys: this one is older than the library's, the other one younger.
inline const pthread_key_t key_before = made_key(attach_before_the_hook);
inline pthread_key_t key_after() {
    static const pthread_key_t key = made_key(detach_after_the_hook);
    return key;
}

// In each round, because the hook works in one of them.
inline void attach_before_the_hook(void *value) {
    pthread_setspecific(key_before, value);
    void *tstate = cpython<void *(void *)>("PyThreadState_New")(cpython<void *()>("PyInterpreterState_Main")());
    EXPECT(tstate);
    cpython<void(void *)>("PyEval_RestoreThread")(tstate);
}
inline void detach_after_the_hook(void *value) {
    pthread_setspecific(key_after(), value);
    cpython<void(void *)>("PyThreadState_Clear")(current_tstate());
    cpython<void()>("PyThreadState_DeleteCurrent")();
}

} // namespace detail

// On the thread, after its first attach.
inline void orphan_own_tstate() {
    if (!is_free_threaded())
        return;
    static char any;
    pthread_setspecific(detail::key_before, &any);
    pthread_setspecific(detail::key_after(), &any);
}

} // namespace support
