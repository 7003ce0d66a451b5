/* The pool of one interpreter (src/pool/): threads that give back, each into a producer of its own, go over
 * to plain stores and back again, and end; drains; and with CLOSING the pool's end besides.
 *
 * A thread's stores stay with it for a time, while it sees them itself: each is written out at any time, at the latest by an
 * exchange of the thread's own, by a drain's heavy fence, which makes every thread pass a fence, or when the thread lets go of
 * the lock. Slots and `pushed` each come out in their order, and `pushed` not before its slot; `is_plain` whenever it likes.
 * That is less than x86 does, where all come out in one order; a sequentially consistent store waits here as well, as the
 * standard lets it before a relaxed load. Taking the lock writes nothing out.
 *
 * A chunk has one slot, so that every push needs another one. That in src/pool/ a chunk's first push is a fenced one is a
 * choice here: whoever is plain pushes one way or the other. So is whether enough waits to become plain; and whether the
 * first thread is within a burst already when this begins.
 *
 * Shown: every reference comes out once, in the order of its thread, or is counted as leaked, once; none is stranded; a
 * producer is in the list once; each producer and each chunk is freed once, and not touched afterwards.
 *
 * Good:  nothing defined, CLOSING, or OWN   the first thread drains as well, between its pushes
 * Bad:   SWAPPED      push() looks whether it is listed before it publishes
 *        UNRELEASED   a plain push publishes without release
 *        NO_FENCE     unlist() makes nobody pass a fence
 *        FENCE_FIRST  unlist() makes them pass it before it unlists
 *        ASKED_FIRST  unlist() goes by whether the thread was plain before its references were copied
 *        EARLY_PLAIN  a thread that says it becomes plain is so at once, without a fenced push in between
 *        STALE        take() is done with what it found empty, and does not look again once it has unlisted
 *        DOUBLE       unlist() puts it back by a look at is_listed and a store
 *        EARLY_SPARE  take_from() hands a chunk back before it has read it
 *        LATE_ORPHAN  orphan() looks whether it is listed, and takes the lock afterwards
 *        TAKEN_BACK   (CLOSING) settle() takes back what was refused without asking whether a drain was faster
 *        LISTED_ONLY  (CLOSING) close() empties what is listed, and no other producer
 */
#if (defined(TAKEN_BACK) || defined(LISTED_ONLY)) && !defined(CLOSING)
#define CLOSING
#endif
#define PRODUCERS 2
#ifndef PUSHES
#define PUSHES 4                            /* of the first thread */
#endif
#ifndef OTHER_PUSHES
#define OTHER_PUSHES 1
#endif
#define CHUNKS PUSHES
#define cell(p, c) ((p) * CHUNKS + (c))
#define NOBODY 255                          /* a null pointer */
#define CLOSED 254                          /* pool::closed */

byte head = NOBODY;                         /* head_ */
byte next[PRODUCERS] = NOBODY;              /* listed::next */
bool is_listed[PRODUCERS];
byte pushed[PRODUCERS];                     /* as others see it */
bool is_plain[PRODUCERS];
byte taken[PRODUCERS];
bool is_orphan[PRODUCERS];
byte spare[PRODUCERS] = NOBODY;
byte first[PRODUCERS];                      /* producer::head, of which head_at slots (none or the one) are read */
bool head_at[PRODUCERS];
byte next_emptied[PRODUCERS] = NOBODY;
byte link[PRODUCERS * CHUNKS] = NOBODY;     /* chunk::next */
byte slot[PRODUCERS * CHUNKS];              /* as others see it */
bool in_use[PRODUCERS * CHUNKS];            /* what malloc knows */
bool locked;                                /* room::lock */
bool is_dead;                               /* the gate, which drop.cpp asks first */

/* What the thread itself sees: its stores that are on their way, and what they will leave. */
byte own_pushed[PRODUCERS];
bool own_plain[PRODUCERS];
byte held_back[PRODUCERS] = NOBODY;         /* the slot, and what is in it */
byte held_value[PRODUCERS];

/* What has become of each thread's references; what is true of each producer. */
byte read[PRODUCERS], came_out[PRODUCERS], leaked[PRODUCERS], attempts[PRODUCERS];
bool is_in_list[PRODUCERS], is_freed[PRODUCERS];
byte ended;

#define take_lock() atomic { !locked -> locked = true }
#define is_here(p) assert(!is_freed[p])

#define write_slot_out(p) if :: held_back[p] != NOBODY -> slot[held_back[p]] = held_value[p]; \
                                held_back[p] = NOBODY; held_value[p] = 0 :: else fi
#define write_out(p) write_slot_out(p); pushed[p] = own_pushed[p]; is_plain[p] = own_plain[p]
#define write_own_out() if :: own != NOBODY -> write_out(own) :: else fi
#define release_lock() atomic { write_own_out(); locked = false }

/* What waits there, for the thread and for others. */
#define pushed_there(p) (p == own -> own_pushed[p] : pushed[p])
#define waits(p) (pushed_there(p) - taken[p])

#include "pool_push.pml"
#include "pool_take.pml"

proctype thread(byte me) {
    byte own = me, tail = cell(me, 0), fresh = NOBODY, seen;
    bool tail_at = is_plain[me], goes_plain = is_plain[me], is_fenced, is_in;
    byte one, rest, after, emptied, part, at, most;
    bool needs_fence;
    do
    :: attempts[me] == (me == 0 -> PUSHES : OTHER_PUSHES) -> break
    :: attempts[me] < (me == 0 -> PUSHES : OTHER_PUSHES) ->
        attempts[me] = attempts[me] + 1;
        if
        :: is_dead -> leaked[me] = leaked[me] + 1
        :: else -> push()
        fi
#ifdef OWN
    :: me == 0 && head != NOBODY && head != CLOSED -> take()
#endif
    od;
    orphan()
}

/* Stores that become visible in their own time. */
#ifdef UNRELEASED
#define goes_first(p)
#else
#define goes_first(p) if :: held_value[p] == pushed[p] -> write_slot_out(p) :: else fi;
#endif
proctype memory() {
end:
    do
    :: atomic { held_back[0] != NOBODY -> write_slot_out(0) }
    :: atomic { held_back[1] != NOBODY -> write_slot_out(1) }
    :: atomic { pushed[0] != own_pushed[0] -> pushed[0] = pushed[0] + (pushed[0] < own_pushed[0] -> 1 : -1); goes_first(0) }
    :: atomic { pushed[1] != own_pushed[1] -> pushed[1] = pushed[1] + (pushed[1] < own_pushed[1] -> 1 : -1); goes_first(1) }
    :: atomic { is_plain[0] != own_plain[0] -> is_plain[0] = own_plain[0] }
    :: atomic { is_plain[1] != own_plain[1] -> is_plain[1] = own_plain[1] }
    od
}

proctype drain() {
    byte own = NOBODY, one, rest, after, emptied, part, at, seen, most;
    bool needs_fence, is_in;
    do
    :: head != NOBODY && head != CLOSED -> take()
    :: ended == PRODUCERS && (head == NOBODY || head == CLOSED) -> break
    od
}

/* pool::close, after the gate was set to dead */
proctype closer() {
    byte own = NOBODY, one, rest, after, emptied, part, at, seen;
    bool needs_fence;
    is_dead = true;
    take_lock();
    take_list(CLOSED);
#ifdef LISTED_ONLY
    emptied = NOBODY;
    do
    :: rest == NOBODY && emptied == NOBODY -> break
    :: rest == NOBODY && emptied != NOBODY -> unlist(); emptied = NOBODY
    :: rest != NOBODY ->
        atomic { one = rest; rest = next[one] };
        do
        :: atomic { waits(one) != 0 -> assert(pushed[one] >= taken[one]); part = waits(one); leaked[one] = leaked[one] + part };
            take_from()
        :: atomic { waits(one) == 0 -> next_emptied[one] = emptied; emptied = one }; break
        od
    od;
#else
    /* Nobody lists any more. Who is not seen by this finds its producer unlisted, and waits for the lock. */
    do
    :: one == PRODUCERS -> break
    :: else ->
        if
        :: !is_freed[one] -> is_listed[one] = false
        :: else
        fi;
        one++
    od;
    heavy_fence();
    one = 0;
    do
    :: one == PRODUCERS -> break
    :: else ->
        if
        :: !is_freed[one] ->
            atomic { assert(pushed[one] >= taken[one]); part = waits(one); leaked[one] = leaked[one] + part };
            take_from();
            if
            :: is_orphan[one] -> free_producer(one)
            :: else
            fi
        :: else
        fi;
        one++
    od;
#endif
    release_lock()
}

init {
    byte p, at;
    atomic {
        in_use[cell(0, 0)] = true;
        in_use[cell(1, 0)] = true;
        first[0] = cell(0, 0);
        first[1] = cell(1, 0);
        if
        :: true
        :: true ->                          /* the first thread is within a burst, and one of it waits */
            attempts[0] = 1;
            slot[cell(0, 0)] = 1;
            own_pushed[0] = 1;
            pushed[0] = 1;
            own_plain[0] = true;
            is_plain[0] = true;
            is_listed[0] = true;
            is_in_list[0] = true;
            head = 0
        fi;
        run memory();
        run thread(0);
        run thread(1);
        run drain();
#ifdef CLOSING
        run closer()
#endif
    };
    _nr_pr == 2;                            /* all but memory() have ended */
    do
    :: p == PRODUCERS -> break
    :: else ->
        assert(came_out[p] + leaked[p] == attempts[p]);
        assert(is_freed[p]);
        at = 0;
        do
        :: at == CHUNKS -> break
        :: else -> assert(!in_use[cell(p, at)]); at++
        od;
        p++
    od
}
