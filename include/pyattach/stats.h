/* What happened so far in this process, for tests and dashboards. */
#ifndef PYATTACH_STATS_H
#define PYATTACH_STATS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counters over all threads and interpreters since the library was loaded. Later versions append members. */
typedef struct pyattach_stats {
    size_t struct_size;       /* set by the caller to sizeof(pyattach_stats) */
    uint64_t attaches;        /* scopes that attached a thread */
    uint64_t nested;          /* scopes that found the thread attached */
    uint64_t refused;         /* begins of attached scopes that returned a status other than PYATTACH_OK */
    uint64_t detaches;        /* detached scopes */
    uint64_t states_created;  /* thread states that this library made */
    uint64_t states_adopted;  /* attaches that used a thread state that other code made */
    uint64_t states_dead;     /* thread states of ended threads that wait to be deleted now */
    uint64_t states_deleted;  /* thread states that this library made and deleted; those that were deleted by the end of
                                 their interpreter are not counted */
    uint64_t drops_now;       /* references released at once */
    uint64_t drops_queued;    /* references queued in a pool */
    uint64_t drops_released;  /* references released from a pool */
    uint64_t drops_leaked;    /* references of interpreters that had ended, or for which there was no memory */
    uint64_t pool_high_water; /* the most references that ever waited in one pool */
    uint64_t exit_waits;      /* ends of interpreters that checked for threads inside */
    uint64_t exit_timeouts;   /* ends of interpreters that stopped waiting at the time-out */
} pyattach_stats;

/* Writes as many bytes of *out as struct_size says. Each counter is exact; together they are not one consistent
 * snapshot. NULL is ignored. Does not wait for Python and runs no Python code. */
PYATTACH_API void pyattach_stats_get(pyattach_stats *out);

#ifdef __cplusplus
}
#endif
#endif
