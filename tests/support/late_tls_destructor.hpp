// What a thread does after the library's exit hook.
#pragma once

#include <climits>
#include <functional>
#include <pthread.h>

#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// A TLS destructor that runs last. Its key is younger than those of CPython and the library, and it re-arms itself in
// each round of destructors, so its last call comes after the library's exit hook. Under the thread sanitizer the very
// last round must not be used: the sanitizer's own data has been destroyed by then.
inline constexpr int last_round = PTHREAD_DESTRUCTOR_ITERATIONS - (is_thread_sanitized ? 1 : 0);
struct late_tls_destructor {
    std::function<void()> last;
    int calls = 0;
    static pthread_key_t key() {
        static const pthread_key_t made = [] {
            run_on_thread([] { attached here; }); // makes the keys of the others
            pthread_key_t key_made;
            EXPECT(pthread_key_create(&key_made, &late_tls_destructor::run) == 0);
            return key_made;
        }();
        return made;
    }
    static void run(void *value) {
        auto *me = static_cast<late_tls_destructor *>(value);
        if (++me->calls < last_round)
            pthread_setspecific(key(), me);
        else
            me->last();
    }
};

} // namespace support
