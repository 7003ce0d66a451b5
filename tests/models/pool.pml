/* The pool of one interpreter (src/pool.hpp, src/pool.cpp): threads that give back, each into a producer of its own, go over
 * to plain stores and back again, and end; drains; and with CLOSING the pool's end besides.
 *
 * A thread's stores stay with it for a time, while it sees them itself: each is written out at any time, at the latest by an
 * exchange of the thread's own, by a drain's heavy fence, which makes every thread pass a fence, or when the thread lets go of
 * the lock. Slots and `pushed` each come out in their order, and `pushed` not before its slot; `is_plain` whenever it likes.
 * That is less than x86 does, where all come out in one order; a sequentially consistent store waits here as well, as the
 * standard lets it before a relaxed load. Taking the lock writes nothing out.
 *
 * A chunk has one slot, so that every push needs another one. That in src/pool.cpp a chunk's first push is a fenced one is a
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

/* pool::list: the link, and a compare-and-swap */
inline list(p) {
    seen = head;
    do
    :: seen == CLOSED -> is_in = false; break
    :: else ->
        atomic { is_here(p); assert(!is_in_list[p]); next[p] = seen };
        if
        :: atomic { head == seen -> head = p; is_in_list[p] = true; is_in = true }; break
        :: atomic { head != seen -> seen = head }
        fi
    od;
    seen = 0
}

/* pool::unlink_and_free */
inline free_producer(p) {
    atomic {
        is_here(p);
        assert(!is_in_list[p]);
        is_freed[p] = true;
        at = first[p];
        do
        :: at != NOBODY -> assert(in_use[at]); in_use[at] = false; at = link[at]
        :: else -> break
        od;
        if
        :: spare[p] != NOBODY -> assert(in_use[spare[p]]); in_use[spare[p]] = false
        :: else
        fi;
        at = 0
    }
}

/* pool::extend; in an atomic step, as what it writes is in nobody's reach yet */
inline extend() {
    fresh = spare[me];
    spare[me] = NOBODY;
    if
    :: fresh != NOBODY
    :: else ->
        fresh = cell(me, 0);
        do
        :: in_use[fresh] -> fresh++
        :: else -> break
        od;
        assert(fresh < cell(me + 1, 0))
    fi;
    in_use[fresh] = true;
    link[fresh] = NOBODY;
    link[tail] = fresh;
    tail = fresh;
    fresh = NOBODY
}

/* The store or the exchange of pool::publish_plainly and pool::publish_fenced */
inline publish() {
    atomic {
        own_pushed[me] = own_pushed[me] + 1;
        if
        :: is_fenced -> write_out(me)
        :: else
        fi
    }
}

/* pool::settle, but for its first two lines: see look() */
inline settle() {
    atomic { write_out(me); is_in = is_listed[me]; is_listed[me] = true };
    if
    :: is_in
    :: else ->
        list(me);
        if
        :: is_in
        :: else ->                          /* closed */
#ifndef TAKEN_BACK
            take_lock();
            if
            :: own_pushed[me] == taken[me]
            :: else ->
#endif
                atomic { tail_at = false; own_pushed[me] = own_pushed[me] - 1; leaked[me] = leaked[me] + 1 }
#ifndef TAKEN_BACK
            fi;
#endif
            atomic { write_out(me); is_listed[me] = false };
#ifndef TAKEN_BACK
            release_lock()
#endif
        fi
    fi
}

/* The look at is_listed; and what settle() does at once, which nobody sees yet */
inline look() {
    atomic {
        is_in = is_listed[me];
        if
        :: !is_in -> goes_plain = false; own_plain[me] = false
        :: else
        fi
    }
}

/* pool::push */
inline push() {
    atomic {
        is_here(me);
        if
        :: tail_at -> extend()
        :: else
        fi;
        if :: goes_plain -> is_fenced = false :: is_fenced = true fi;
        write_slot_out(me);                 /* each slot's store before the next one's */
        held_back[me] = tail;
        held_value[me] = attempts[me];
        tail_at = true
    };
#ifdef SWAPPED
    look();
    publish();
#else
    publish();
    look();
#endif
    if
    :: !is_in -> settle()
    :: else ->
        atomic {
            if
            :: is_fenced && own_plain[me] -> goes_plain = true
            :: is_fenced && !own_plain[me] ->
                own_plain[me] = true;
#ifdef EARLY_PLAIN
                goes_plain = true
#endif
            :: !is_fenced || !own_plain[me]
            fi
        }
    fi;
    atomic { is_in = false; is_fenced = false }
}

/* pool::orphan */
inline orphan() {
    is_here(me);
#ifdef LATE_ORPHAN
    is_in = is_listed[me];
    take_lock();
#else
    take_lock();
    is_in = is_listed[me];
#endif
    if
    :: is_in -> is_orphan[me] = true
    :: else -> free_producer(me)
    fi;
    atomic { is_in = false; ended++ };
    release_lock()
}

/* pool::take_list: the oldest comes first */
inline take_list(leave_behind) {
    atomic {
        one = head;
        if
        :: head != CLOSED -> head = leave_behind
        :: else -> one = NOBODY
        fi;
        rest = NOBODY;
        do
        :: one == NOBODY -> break
        :: else ->
            is_here(one);
            is_in_list[one] = false;
            after = next[one];
            next[one] = rest;
            rest = one;
            one = after
        od;
        after = 0;
        one = 0
    }
}

/* Into `spare`; what was there is freed. */
inline hand_back(emptied_chunk) {
    assert(in_use[emptied_chunk]);
    if
    :: spare[one] != NOBODY && spare[one] != emptied_chunk -> in_use[spare[one]] = false
    :: else
    fi;
    spare[one] = emptied_chunk
}

/* pool::take_from: `part` references out of `one` */
inline take_from() {
    do
    :: part == 0 -> break
    :: else ->
        atomic {
            is_here(one);
            if
            :: head_at[one] ->
                at = first[one];
                assert(link[at] != NOBODY);
                first[one] = link[at];
                head_at[one] = false;
#ifndef EARLY_SPARE
                hand_back(at)
#endif
            :: else
            fi;
#ifdef EARLY_SPARE
            hand_back(first[one]);
#endif
            at = 0
        };
        atomic {
            at = first[one];
            assert(in_use[at]);
            assert((one == own && held_back[one] == at -> held_value[one] : slot[at]) == read[one] + 1);
            read[one] = read[one] + 1;
            head_at[one] = true;
            taken[one] = taken[one] + 1;    /* which nobody else looks at before the lock is let go */
            part--;
            at = 0
        }
    od
}

/* Each thread passes its fence at a moment of its own. */
inline heavy_fence() {
    atomic { write_out(0) };
    atomic { write_out(1) }
}

inline ask() {
    needs_fence = needs_fence || (one != own && is_plain[one])
}

/* pool::unlist: what was given something meanwhile goes in front of `rest` */
inline unlist() {
#ifdef FENCE_FIRST
    heavy_fence();
#endif
    one = emptied;
    do
    :: one == NOBODY -> break
    :: else ->
        atomic { is_here(one); write_own_out(); is_listed[one] = false };
        atomic {
#ifndef ASKED_FIRST
            ask();
#endif
            one = next_emptied[one]
        }
    od;
    if
    :: needs_fence ->
#if !defined(NO_FENCE) && !defined(FENCE_FIRST)
        heavy_fence();
#endif
        needs_fence = false
    :: else
    fi;
    one = emptied;
    do
    :: one == NOBODY -> break
    :: else ->
        atomic { is_here(one); after = next_emptied[one]; part = waits(one) };
        if
#ifndef STALE
        :: part != 0 ->
            part = 0;
#ifdef DOUBLE
            seen = is_listed[one];
            is_listed[one] = true;
#else
            atomic { write_own_out(); seen = is_listed[one]; is_listed[one] = true };
#endif
            if
            :: !seen -> atomic { next[one] = rest; rest = one }
            :: else
            fi;
            seen = 0
#endif
        :: else ->
            if
            :: is_orphan[one] -> free_producer(one)
            :: else
            fi
        fi;
        atomic { one = after; part = 0 }
    od;
    atomic { after = 0; emptied = 0; one = 0 }
}

/* pool::take; `own` is the producer of the thread that drains, or NOBODY */
inline take() {
    if :: most = 1 :: most = 2 fi;
    take_lock();
    take_list(NOBODY);
    emptied = NOBODY;
    do
    :: rest == NOBODY || most == 0 -> break
    :: else ->
        one = rest;
#ifdef ASKED_FIRST
        ask();
#endif
        atomic {
            assert(pushed_there(one) >= taken[one]);
            rest = next[one];
            part = (waits(one) < most -> waits(one) : most);
            most = most - part;
            came_out[one] = came_out[one] + part
        };
        take_from();
        if
        :: atomic { waits(one) == 0 -> next_emptied[one] = emptied; emptied = one }
        :: atomic { waits(one) != 0 -> next[one] = rest; rest = one }
        fi
    od;
    unlist();
    do
    :: rest == NOBODY -> break
    :: else -> one = rest; rest = next[one]; list(one); assert(is_in)
    od;
    atomic { one = 0; rest = 0; most = 0; is_in = false };
    release_lock()
}

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
