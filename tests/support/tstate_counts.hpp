// The thread states that the library owns, counted; and the policy, for as long as a test lasts.
#pragma once

#include "support/python.hpp"

namespace support {

inline pyattach_stats all_counters() {
    pyattach_stats now{};
    now.struct_size = sizeof now;
    pyattach_stats_get(&now);
    return now;
}

// States the library made and has not deleted, of threads that live.
inline std::int64_t tstates_owned() {
    pyattach_stats now = all_counters();
    return static_cast<std::int64_t>(now.states_created - now.states_deleted - now.states_dead);
}

// What WARM comes to on this Python: debug builds cannot keep states.
inline bool keeps_tstates() { return !is_debug_build(); }

class policy {
  public:
    explicit policy(pyattach_thread_policy wanted) { pyattach_set_thread_policy(wanted); }
    policy(const policy &) = delete;
    policy &operator=(const policy &) = delete;
    ~policy() { pyattach_set_thread_policy(PYATTACH_THREADS_WARM); }
};

// `local` in __main__: a threading.local.
inline void make_thread_local() { run("import threading\nif 'local' not in globals(): local = threading.local()"); }

} // namespace support
