/* A trace (src/core/trace.hpp, thread_local_words::tag): a thread sets its fast bit and notes events, while another
 * thread starts the trace, stops it, and gives its rings back.
 *
 * The thread's stores go through a store buffer before other threads read them, because a later load may overtake them.
 * They are written out at any time, in their order; at the latest by the other thread's heavy fence, which makes every
 * thread execute a fence. The thread itself reads what it has stored last.
 *
 * Shown: once a start has returned, no call of the thread finds the fast bit, until the trace is stopped. And the thread
 * never writes into a ring that was given back.
 *
 * Good:  nothing defined, or SYMMETRIC   the thread executes the fences itself (the kernel refuses membarrier)
 * Bad:   UNFENCED       start() leaves membarrier out
 *        CLEAR_FIRST    start() clears the fast bit before it stores `is_recording`
 *        LOAD_FIRST     tag() loads `is_recording` before it stores the fast bit
 *        STOP_UNFENCED  stop() leaves membarrier out
 *        UNAWAITED      stop() does not wait for threads that are writing
 *        LATE           a thread loads `is_recording` before it stores `records_now`
 */
#ifndef CALLS
#define CALLS 3                             /* how many calls the thread makes */
#endif

mtype = { word, writing };
bool is_recording;
bool fast, records_now;                     /* as other threads read them */
bool has_started;                           /* a start has returned, and no stop has begun */
bool has_ring;                              /* the rings are not given back */
chan stores = [3] of { mtype, bool };       /* the thread's buffered stores, in their order */
byte fast_stores;                           /* how many of them store the fast bit */
bool own_fast;                              /* the last of these */

inline write_one() {
    if
    :: stores ? word(value) -> fast = value; fast_stores--
    :: stores ? writing(value) -> records_now = value
    fi
}
#define write_out() atomic { do :: nempty(stores) -> write_one() :: empty(stores) -> break od }
inline store(which, stored) {
    atomic {
        do
        :: full(stores) -> write_one()
        :: nfull(stores) -> break
        od;
        stores ! which(stored);
        if
        :: which == word -> fast_stores++; own_fast = stored
        :: else
        fi
    }
}
#ifdef SYMMETRIC
#define light_fence() write_out()
#define heavy_fence() skip
#else
#define light_fence() skip
#define heavy_fence() write_out()
#endif

/* An atomic step of the thread's own is a fence, too. */
inline tag() {
#ifdef LOAD_FIRST
    seen = is_recording;
    store(word, true);
    light_fence();
#else
    store(word, true);
    light_fence();
    seen = is_recording;
#endif
    if
    :: seen -> write_out(); fast = false
    :: else
    fi
}

inline note() {
#ifdef LATE
    seen = is_recording;
    store(writing, true);
    light_fence();
#else
    store(writing, true);
    light_fence();
    seen = is_recording;
#endif
    if
    :: seen -> assert(has_ring)             /* writes into its ring */
    :: else
    fi;
    store(writing, false)
}

active proctype thread() {
    bool value, seen, is_fast;
    byte calls = 0;
    do
    :: calls == CALLS -> break
    :: calls < CALLS ->
        calls++;
        atomic {
            is_fast = (fast_stores > 0 -> own_fast : fast);
            assert(!(is_fast && has_started))
        };
        if
        :: is_fast                          /* the fast path notes nothing */
        :: else -> tag(); note()            /* a slow path */
        fi
    od;
    write_out()
}

/* Stores are written out at any time. */
active proctype memory() {
    bool value;
end:
    do
    :: atomic { nempty(stores) -> write_one() }
    od
}

active proctype tracer() {
    bool value;
    byte traces = 0;
    do
    :: traces == 2 -> break
    :: traces < 2 ->
        traces++;
        has_ring = true;
#ifdef CLEAR_FIRST
        fast = false;
        is_recording = true;
        heavy_fence();
#else
        is_recording = true;
#ifndef UNFENCED
        heavy_fence();
#endif
        fast = false;
#endif
        has_started = true;
        has_started = false;
        is_recording = false;
#ifndef STOP_UNFENCED
        heavy_fence();
#endif
#ifndef UNAWAITED
        !records_now;
#endif
        has_ring = false                    /* the next start gives the rings back */
    od
}
