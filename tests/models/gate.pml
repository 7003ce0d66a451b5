/* The gate of one interpreter (src/core/gate.hpp, src/core/gate.cpp): threads that enter and leave, and the
 * closing thread.
 *
 * A thread's store of its presence goes through a store buffer before other threads read it, because a later load
 * may overtake it. The store is written out at any time; at the latest by the closing thread's heavy fence, which
 * makes every thread execute a fence, and when the thread releases the lock. Taking the lock writes nothing out,
 * which is weaker than what any processor does.
 *
 * Shown: when the closing thread goes on, no thread is attached, and none attaches later. And the closing thread
 * is never left asleep (spin reports a process that waits for ever as an invalid end state).
 *
 * Good:  nothing defined, or SYMMETRIC   every thread executes the fence itself (the kernel refuses membarrier)
 * Bad:   SWAPPED      announce() reads the gate's word before it stores the presence
 *        UNFENCED     advance() leaves membarrier out
 *        UNLOCKED     wake() does not take the lock
 *        LEFT_FIRST   a thread leaves the gate before it detaches (invariant 2)
 *        UNSEALED     reenter() tests for ended instead of sealed
 */
#define THREADS 2
#ifndef VISITS
#define VISITS 1                            /* of the second thread; the first comes twice */
#endif

mtype = { outside, attached, detached };    /* presence */
mtype = { open, held, closed, sealed, ended };   /* gate::state */

mtype word = open;                          /* word_ */
mtype inside_of[THREADS] = outside;         /* participant::inside, as other threads read it */
bool in_list[THREADS];                      /* in data::participants */
bool locked, asleep;                        /* data::lock; the closing thread sleeps on data::left */
chan stores[THREADS] = [2] of { mtype };    /* the buffered stores of a thread to its presence, in their order */

/* The actual state, whatever the participants contain. */
bool holds_tstate[THREADS];                 /* between the return of restore() and the call of save() */
bool is_over;                               /* the closing thread has gone on */

#define write_out_one(t) if :: nempty(stores[t]) -> stores[t] ? inside_of[t] :: empty(stores[t]) fi
#define write_out(t) atomic { do :: nempty(stores[t]) -> stores[t] ? inside_of[t] :: empty(stores[t]) -> break od }
#define store(t, value) atomic { \
    if :: full(stores[t]) -> stores[t] ? inside_of[t] :: nfull(stores[t]) fi; \
    stores[t] ! value }

#define take_lock() atomic { !locked -> locked = true }
#define release_lock() locked = false

/* gate::announce */
inline announce(after) {
#ifdef SWAPPED
    seen = word;
    store(me, after)
#else
    store(me, after);
#ifdef SYMMETRIC
    write_out(me);                          /* light_fence() without membarrier */
#endif
    seen = word
#endif
}

/* gate::leave and gate::wake */
inline leave(after) {
    announce(after);
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

/* gate::enter, then cpython::restore; `before` is the thread's own presence */
inline enter(before) {
    announce(attached);
    if
    :: seen == open || seen == held -> is_in = true; attach()
    :: else -> is_in = false; leave(before)
    fi
}

/* gate::reenter */
inline reenter() {
    announce(attached);
    if
#ifdef UNSEALED
    :: seen != ended -> is_in = true; attach()
#else
    :: seen == open || seen == held || seen == closed -> is_in = true; attach()
#endif
    :: else -> is_in = false; leave(outside)
    fi
}

inline attach() {
    holds_tstate[me] = true;
    assert(!is_over)
}

/* end_outer() of attached.cpp and begin() of detached.cpp */
inline detach_and_leave(after) {
#ifdef LEFT_FIRST
    leave(after);
    holds_tstate[me] = false
#else
    holds_tstate[me] = false;
    leave(after)
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
            :: true ->                      /* and an attached scope inside it */
                enter(detached);
                if
                :: is_in -> detach_and_leave(detached)
                :: !is_in
                fi
            fi;
            reenter();
            if
            :: !is_in -> break              /* FINALIZING */
            :: is_in
            fi
        fi;
        detach_and_leave(outside)
    od;
    if
    :: true                                 /* the thread lives on, and does not enter again */
    :: true ->                              /* the thread ends: warm_state::hand_over and gate::remove */
        store(me, outside);
        take_lock();
        in_list[me] = false;
        asleep = false;
        write_out(me);
        release_lock()
    fi
}

/* gate::advance with heavy_fence(); each thread executes its fence at a moment of its own */
inline advance(state) {
    word = state;
#if !defined(UNFENCED) && !defined(SYMMETRIC)
    write_out(0);
    write_out(1)
#endif
}

/* gate::count, participant by participant */
inline count(attached_only) {
    inside = 0;
    other = 0;
    do
    :: other < THREADS ->
        inside = inside + (in_list[other] &&
                           (inside_of[other] == attached || (!attached_only && inside_of[other] == detached)));
        other++
    :: else -> break
    od
}

/* gate::wait; reading `left` under the lock and sleeping on it is modelled as one step */
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
    byte inside, other;
    bool gives_up_on_detached;
    if :: gives_up_on_detached = true :: gives_up_on_detached = false fi;
    advance(held);                          /* holds, if there are any, end at any time after this */
    advance(closed);
    wait(false, gives_up_on_detached);
    if
    :: inside ->
        advance(sealed);
        wait(true, false)
    :: else
    fi;
    advance(sealed);
    wait(true, false);
    d_step {
        is_over = true;
        assert(!holds_tstate[0] && !holds_tstate[1])
    };
    advance(ended)
}

/* Writes the buffered stores out at any time. */
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
