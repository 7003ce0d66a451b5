/* What happened so far in this process, for tests and dashboards. */
#ifndef PYATTACH_STATS_H
#define PYATTACH_STATS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counters over all threads and interpreters since the library was loaded; later versions append. */
typedef struct pyattach_stats {
    size_t struct_size;       /* set by the caller to sizeof(pyattach_stats) */
    uint64_t attaches;        /* scopes that attached a thread */
    uint64_t nested;          /* scopes that found it attached */
    uint64_t refused;         /* begins of attached scopes that returned a status other than OK */
    uint64_t detaches;        /* detached scopes */
    uint64_t states_created;  /* thread states this library made */
    uint64_t states_adopted;  /* attaches that used a state somebody else made */
    uint64_t states_dead;     /* states of threads that ended, waiting now to be deleted */
    uint64_t states_deleted;  /* states this library made and deleted; what an interpreter's end took with it is not
                                 counted */
    uint64_t drops_now;       /* references released at once */
    uint64_t drops_queued;    /* references that went to a pool */
    uint64_t drops_released;  /* references released from a pool */
    uint64_t drops_leaked;    /* references of interpreters that had ended, or for which there was no memory */
    uint64_t pool_high_water; /* the most references that ever waited in one pool */
    uint64_t exit_waits;      /* exits that looked for threads inside */
    uint64_t exit_timeouts;   /* exits that gave up waiting */
} pyattach_stats;

/* Fills as much of *out as struct_size says. Each counter is exact; together they are no snapshot. NULL is ignored. */
PYATTACH_API void pyattach_stats_get(pyattach_stats *out);

#ifdef __cplusplus
}
#endif
#endif
