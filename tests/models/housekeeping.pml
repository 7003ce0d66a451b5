/* Housekeeping (src/core/housekeeping.hpp): threads that leave work and request it, the housekeeper that sleeps when
 * there is none, and a thread that ends it for a fork.
 *
 * All accesses to the word and to the work are sequentially consistent, so each is one step here, and no store is
 * delayed.
 *
 * Shown: when nothing moves any more, no work is left, and the thread that forks is never left waiting.
 *
 * Good:  nothing defined
 * Bad:   LOOK_FIRST     the housekeeper looks for work before it stores `asleep`
 *        REQUEST_FIRST  a thread requests before it leaves its work
 *        NO_RESUME      after the fork nobody looks what was left meanwhile
 *        LOST_END       stop waits for `stopping` to be over, and does not join an ended housekeeper
 */
#define WORKERS 2
#ifndef PUSHES
#define PUSHES 2
#endif

mtype = { none, asleep, awake, stopping, ended };

mtype word = none;
byte work;                                  /* what waits */
byte done;                                  /* threads that have finished */

/* stay_awake, run_round, sleep */
proctype housekeeper() {
    do
    :: word == stopping -> break
    :: word == awake ->
        work = 0;
#ifdef LOOK_FIRST
        if
        :: work > 0 -> skip
        :: else -> atomic { if :: word == awake -> word = asleep :: else fi }
        fi;
#else
        atomic { if :: word == awake -> word = asleep :: else fi };
        if
        :: work > 0 -> atomic { if :: word == asleep -> word = awake :: else fi }
        :: else
        fi;
#endif
end:    word != asleep
    od;
    word = ended
}

/* request_slow; a housekeeper that has ended is joined in one step */
inline request() {
    do
    :: atomic { word == asleep -> word = awake }; break
    :: atomic { word == none -> word = awake; run housekeeper() }; break
    :: atomic { word == ended -> word = none }
    :: word == awake || word == stopping -> break
    od
}

proctype worker() {
    byte left = PUSHES;
    do
    :: left == 0 -> break
    :: else ->
        left--;
#ifdef REQUEST_FIRST
        request();
        work++
#else
        work++;
        request()
#endif
    od;
    done++
}

/* stop, the fork, and resume */
proctype forker() {
    do
    :: word == none -> break
#ifndef LOST_END
    :: atomic { word == ended -> word = none }
#endif
    :: atomic { (word == asleep || word == awake) -> word = stopping }
    od;
#ifndef NO_RESUME
    if
    :: work > 0 -> request()
    :: else
    fi;
#endif
    done++
}

init {
    atomic {
        run worker();
        run worker();
        run forker()
    };
    timeout -> assert(work == 0); assert(done == WORKERS + 1)
}
