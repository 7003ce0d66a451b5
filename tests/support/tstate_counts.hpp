// How many tstates the library owns; thread policies and a threading.local for tests.
#pragma once

#include "support/python.hpp"

namespace support {

inline pyattach_stats all_counters() {
    pyattach_stats counters{};
    counters.struct_size = sizeof counters;
    pyattach_stats_get(&counters);
    return counters;
}

inline std::uint64_t detaches() { return all_counters().detaches; }

// Tstates that the library made and has not deleted, of running threads.
inline std::int64_t tstates_owned() {
    pyattach_stats counters = all_counters();
    return static_cast<std::int64_t>(counters.states_created - counters.states_deleted - counters.states_dead);
}

// Whether the WARM policy keeps tstates on this Python: debug builds cannot.
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
