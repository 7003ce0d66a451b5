/* The gate of one interpreter (src/gate.hpp, src/gate.cpp): threads that come and go, and one that closes.
 *
 * A thread's announcement goes through a buffer before others see it, as a store does that a later load overtakes. It is
 * written out at any time; at the latest by the closer's heavy fence, which makes every thread pass a fence, and when the
 * thread lets go of the lock. Taking the lock writes nothing out: less than any processor does.
 *
 * Shown: when the closer goes on, nobody is attached and nobody comes in again; and it is never left asleep (spin
 * reports a process that waits for ever as an invalid end state).
 *
 * Good:  nothing defined, or SYMMETRIC   every thread pays for the fence itself (membarrier is refused)
 * Bad:   SWAPPED      announce() looks at the word before it writes the seat
 *        UNFENCED     set() leaves membarrier out
 *        UNLOCKED     wake() does not take the lock
 *        LEFT_FIRST   a thread leaves the gate before it detaches (invariant 2)
 *        UNSEALED     come_back() asks for dead rather than for sealed
 */
#define THREADS 2
#ifndef VISITS
#define VISITS 1                            /* of the second thread; the first comes twice */
#endif

mtype = { outside, attached, detached };    /* presence::value */
mtype = { open, closed, sealed, dead };     /* gate::state */

mtype word = open;                          /* word_ */
mtype seat[THREADS] = outside;              /* seat::inside, as others see it */
bool in_list[THREADS];                      /* in seats_ */
bool locked, asleep;                        /* lock_; the closer sleeps on left_ */
chan stores[THREADS] = [2] of { mtype };    /* a thread's stores on their way to its seat, in their order */

/* What is true, whatever the seats say. */
bool holds_state[THREADS];                  /* between the return of restore() and the call of save() */
bool is_over;                               /* the closer has gone on */

#define write_out_one(t) if :: nempty(stores[t]) -> stores[t] ? seat[t] :: empty(stores[t]) fi
#define write_out(t) atomic { do :: nempty(stores[t]) -> stores[t] ? seat[t] :: empty(stores[t]) -> break od }
#define store(t, value) atomic { if :: full(stores[t]) -> stores[t] ? seat[t] :: nfull(stores[t]) fi; stores[t] ! value }

#define take_lock() atomic { !locked -> locked = true }
#define release_lock() locked = false

/* gate::announce */
inline announce(now) {
#ifdef SWAPPED
    seen = word;
    store(me, now)
#else
    store(me, now);
#ifdef SYMMETRIC
    write_out(me);                          /* light_fence() without membarrier */
#endif
    seen = word
#endif
}

/* gate::leave and gate::wake */
inline leave(now) {
    announce(now);
    if
    :: seen == open
    :: else ->
#ifdef UNLOCKED
        asleep = false
#else
        take_lock();
        asleep = false;
        write_out(me);                      /* release */
        release_lock()
#endif
    fi
}

/* gate::enter, then cpython::restore; `before` is what the seat says to its own thread */
inline enter(before) {
    announce(attached);
    if
    :: seen == open -> is_in = true; attach()
    :: else -> is_in = false; leave(before)
    fi
}

/* gate::come_back */
inline come_back() {
    announce(attached);
    if
#ifdef UNSEALED
    :: seen != dead -> is_in = true; attach()
#else
    :: seen == open || seen == closed -> is_in = true; attach()
#endif
    :: else -> is_in = false; leave(outside)
    fi
}

inline attach() {
    holds_state[me] = true;
    assert(!is_over)
}

/* end_outer() of attached.cpp and begin() of detached.cpp */
inline detach_and_leave(now) {
#ifdef LEFT_FIRST
    leave(now);
    holds_state[me] = false
#else
    holds_state[me] = false;
    leave(now)
#endif
}

proctype visitor(byte me) {
    mtype seen;
    bool is_in;
    byte visits = 0;
    /* gate::add */
    take_lock();
    in_list[me] = true;
    release_lock();
    do
    :: visits == (me == 0 -> 2 : VISITS) -> break
    :: visits < (me == 0 -> 2 : VISITS) ->
        visits++;
        enter(outside);
        if
        :: !is_in -> break
        :: is_in
        fi;
        if
        :: true
        :: true ->                          /* a detached scope */
            detach_and_leave(detached);
            if
            :: true
            :: true ->                      /* and an attached one inside it */
                enter(detached);
                if
                :: is_in -> detach_and_leave(detached)
                :: !is_in
                fi
            fi;
            come_back();
            if
            :: !is_in -> break              /* FINALIZING */
            :: is_in
            fi
        fi;
        detach_and_leave(outside)
    od;
    if
    :: true                                 /* lives on, and does not come back */
    :: true ->                              /* ends: warm_state::hand_over and gate::remove */
        store(me, outside);
        take_lock();
        in_list[me] = false;
        asleep = false;
        write_out(me);
        release_lock()
    fi
}

/* gate::set with heavy_fence(); each thread passes its fence at a moment of its own */
inline set(state) {
    word = state;
#if !defined(UNFENCED) && !defined(SYMMETRIC)
    write_out(0);
    write_out(1)
#endif
}

/* gate::count, seat by seat */
inline count(attached_only) {
    inside = 0;
    one = 0;
    do
    :: one < THREADS ->
        inside = inside + (in_list[one] && (seat[one] == attached || (!attached_only && seat[one] == detached)));
        one++
    :: else -> break
    od
}

/* gate::wait; pthread_cond_timedwait lets go of the lock and falls asleep in one step */
inline wait(attached_only, may_expire) {
    take_lock();
    do
    :: true ->
        count(attached_only);
        if
        :: inside == 0 -> break
        :: inside != 0 && may_expire -> break
        :: inside != 0 ->
            atomic { asleep = true; locked = false };
            atomic { !asleep && !locked -> locked = true }
        fi
    od;
    release_lock()
}

/* ending::close() and ending::wait() of exit.cpp; the limit for attached threads is never reached */
proctype closer() {
    byte inside, one;
    bool gives_up_on_detached;
    if :: gives_up_on_detached = true :: gives_up_on_detached = false fi;
    set(closed);
    wait(false, gives_up_on_detached);
    if
    :: inside ->
        set(sealed);
        wait(true, false)
    :: else
    fi;
    set(sealed);
    wait(true, false);
    d_step {
        is_over = true;
        assert(!holds_state[0] && !holds_state[1])
    };
    set(dead)
}

/* Stores that are written out in their own time. */
proctype memory() {
end:
    do
    :: atomic { nempty(stores[0]) -> write_out_one(0) }
    :: atomic { nempty(stores[1]) -> write_out_one(1) }
    od
}

init {
    atomic {
        run memory();
        run visitor(0);
        run visitor(1);
        run closer()
    }
}
