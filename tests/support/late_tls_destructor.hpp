// What a thread does after the library's exit hook.
#pragma once

#include <climits>
#include <functional>
#include <pthread.h>

#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// A destructor behind everybody's: its key is younger than CPython's and the library's, and it comes back in each of
// the rounds that the system makes, so its last call is after the library's exit hook. The thread sanitizer has no last
// round: it is gone by then.
inline constexpr int last_round = PTHREAD_DESTRUCTOR_ITERATIONS - (is_thread_sanitized ? 1 : 0);
struct late_tls_destructor {
    std::function<void()> last;
    int calls = 0;
    static pthread_key_t key() {
        static const pthread_key_t made = [] {
            run_on_thread([] { attached here; }); // makes the keys of the others
            pthread_key_t one;
            EXPECT(pthread_key_create(&one, &late_tls_destructor::run) == 0);
            return one;
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
