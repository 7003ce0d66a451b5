# Written by tools/pxd from include/pyattach/stats.h, where each rule is stated.
from libc.stdint cimport uint64_t

cdef extern from "pyattach/stats.h" nogil:
    ctypedef struct pyattach_stats:
        size_t struct_size
        uint64_t attaches
        uint64_t nested
        uint64_t refused
        uint64_t detaches
        uint64_t states_created
        uint64_t states_adopted
        uint64_t states_dead
        uint64_t states_deleted
        uint64_t drops_now
        uint64_t drops_queued
        uint64_t drops_released
        uint64_t drops_leaked
        uint64_t pool_high_water
        uint64_t exit_waits
        uint64_t exit_timeouts
    void pyattach_stats_get(pyattach_stats *out)
