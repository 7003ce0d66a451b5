// A fork while a thread is ending.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/host.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <pthread.h>

using namespace support;

// glibc passes the values of a thread's keys on to a thread of the child that gets its stack, if it was calling the
// destructors of keys at the fork.
CHILD("a thread of a child on the stack of a thread that was ending") {
    static pthread_key_t older_key; // its destructor runs before the library's
    static std::atomic<bool> is_ending{false}, may_end{false};
    EXPECT(pthread_key_create(&older_key, [](void *) {
               is_ending = true;
               wait_until("permission to end", [] { return may_end.load(); });
           }) == 0);
    start_python();
    pthread_t ending;
    EXPECT(pthread_create(
               &ending, nullptr,
               [](void *value) -> void * {
                   use_python();
                   EXPECT(pthread_setspecific(older_key, value) == 0);
                   return nullptr;
               },
               &older_key) == 0);
    wait_until("the thread to end", [] { return is_ending.load(); });
    {
        attached here;
        fork_in_python([] {
            pthread_t fresh;
            may_end = true;
            EXPECT(pthread_create(
                       &fresh, nullptr,
                       [](void *value) -> void * {
                           EXPECT(pthread_setspecific(older_key, value) == 0); // or glibc calls no destructors
                           return nullptr;
                       },
                       &older_key) == 0);
            EXPECT(pthread_join(fresh, nullptr) == 0);
        });
    }
    may_end = true;
    EXPECT(pthread_join(ending, nullptr) == 0);
}
TEST_CASE("a thread of a fork child has nothing of a thread that was ending at the fork") {
    child_options options;
    // What is freed is written over at once.
    options.environment = {{"MALLOC_PERTURB_", "165"}, {"GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"}};
    check_succeeds("a thread of a child on the stack of a thread that was ending", options);
}
