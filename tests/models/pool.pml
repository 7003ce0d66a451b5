/* The pool of one interpreter (src/pool.hpp, src/pool.cpp): threads that queue, each into a producer of its own, and end;
 * drains; and with CLOSING the pool's end besides. A chunk has one slot here, so that every push needs another one.
 *
 * A slot's store stays with its thread until that thread releases something: others may read the slot before.
 *
 * Shown: every reference comes out once, in the order of its thread, or is counted as leaked; none is stranded; each
 * producer and each chunk is freed once, and not touched afterwards.
 *
 * Good:  nothing defined, or CLOSING
 * Bad:   SWAPPED        push() counts before it writes the slot
 *        UNRELEASED     the count is added to without release
 *        LOOKED_BEFORE  push() lists the producer by what the count was a moment before
 *        STALE          take() is done with a producer by the count it read at first
 *        EARLY_SPARE    take_from() hands a chunk back before it has read it
 *        LATE_ORPHAN    orphan() looks at the count, and marks it afterwards
 */
#define PRODUCERS 2
#ifndef PUSHES
#define PUSHES 3                            /* of the first thread */
#endif
#ifndef OTHER_PUSHES
#define OTHER_PUSHES 1
#endif
#define CHUNKS 3
#define cell(p, c) ((p) * CHUNKS + (c))
#define ORPHAN 64                           /* producer::orphan */
#define NOBODY 255                          /* a null pointer */
#define CLOSED 254                          /* pool::closed */

byte head = NOBODY;                         /* head_ */
byte next[PRODUCERS] = NOBODY;              /* listed::next */
byte count[PRODUCERS];                      /* producer::count */
byte spare[PRODUCERS] = NOBODY;             /* producer::spare */
byte first[PRODUCERS];                      /* producer::head, of which head_at slots (none or the one) are read */
bool head_at[PRODUCERS];
byte link[PRODUCERS * CHUNKS] = NOBODY;     /* chunk::next */
byte slot[PRODUCERS * CHUNKS];              /* chunk::slot, as others see it */
byte held_back[PRODUCERS] = NOBODY;         /* the slot whose store only its thread sees yet, and what is in it */
byte held_value[PRODUCERS];
bool in_use[PRODUCERS * CHUNKS];            /* what malloc knows */
bool is_freed[PRODUCERS];
bool locked;                                /* lock_ */
bool is_dead;                               /* the gate, which queue() of drop.cpp asks first */

/* What has become of each thread's references. */
byte read[PRODUCERS], came_out[PRODUCERS], leaked[PRODUCERS], attempts[PRODUCERS];
bool was_refused[PRODUCERS];
byte ended;

#define take_lock() atomic { !locked -> locked = true }
#define release_lock() locked = false
#define is_here(p) assert(!is_freed[p])
#define write_out(p) if :: held_back[p] != NOBODY -> slot[held_back[p]] = held_value[p]; held_back[p] = NOBODY :: else fi

/* pool::list: the link, and a compare-and-swap */
inline list(p) {
    do
    :: true ->
        seen = head;
        if
        :: seen == CLOSED -> is_listed = false; break
        :: else
        fi;
        is_here(p);
        next[p] = seen;
        if
        :: atomic { head == seen -> head = p; is_listed = true }; break
        :: head != seen
        fi
    od
}

/* pool::unlink_and_free */
inline free_producer(p) {
    atomic {
        is_here(p);
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

inline write_slot() {
    atomic { held_back[me] = tail; held_value[me] = attempts[me] }
}

/* pool::push */
inline push() {
    is_here(me);
    if
    :: tail_at ->                           /* the chunk is full */
        atomic { fresh = spare[me]; spare[me] = NOBODY };
        atomic {
            if
            :: fresh != NOBODY
            :: fresh == NOBODY && !in_use[cell(me, 0)] -> fresh = cell(me, 0)
            :: fresh == NOBODY && !in_use[cell(me, 1)] -> fresh = cell(me, 1)
            :: fresh == NOBODY && !in_use[cell(me, 2)] -> fresh = cell(me, 2)
            fi;
            in_use[fresh] = true
        };
        link[fresh] = NOBODY;
        link[tail] = fresh;
        atomic { tail = fresh; tail_at = false; fresh = NOBODY }
    :: else
    fi;
    tail_at = true;
#ifndef SWAPPED
    write_slot();
#endif
#ifdef LOOKED_BEFORE
    before = count[me];
#endif
    atomic {
#ifndef LOOKED_BEFORE
        before = count[me];
#endif
        count[me] = count[me] + 1;
#ifndef UNRELEASED
        write_out(me)
#endif
    };
#ifdef SWAPPED
    write_slot();
#endif
    if
    :: before == 0 ->
        list(me);
        if
        :: is_listed
        :: else -> atomic { was_refused[me] = true; leaked[me] = leaked[me] + 1 }
        fi
    :: else
    fi
}

proctype thread(byte me) {
    byte tail = cell(me, 0), fresh = NOBODY, before, seen, at;
    bool tail_at, is_listed;
    do
    :: attempts[me] == (me == 0 -> PUSHES : OTHER_PUSHES) -> break
    :: attempts[me] < (me == 0 -> PUSHES : OTHER_PUSHES) ->
        attempts[me] = attempts[me] + 1;
        if
        :: is_dead -> leaked[me] = leaked[me] + 1
        :: else -> push()
        fi
    od;
    /* pool::orphan */
    is_here(me);
#ifdef LATE_ORPHAN
    before = count[me];
#endif
    atomic {
#ifndef LATE_ORPHAN
        before = count[me];
#endif
        count[me] = count[me] | ORPHAN;
        write_out(me)
    };
    if
    :: before == 0 -> take_lock(); free_producer(me); release_lock()
    :: else
    fi;
    ended++
}

/* Stores that become visible in their own time. */
proctype memory() {
end:
    do
    :: atomic { held_back[0] != NOBODY -> write_out(0) }
    :: atomic { held_back[1] != NOBODY -> write_out(1) }
    od
}

/* pool::take_list: the oldest comes first */
inline take_list(leave_behind) {
    atomic {
        one = head;
        if
        :: head != CLOSED -> head = leave_behind
        :: else -> one = NOBODY
        fi
    };
    rest = NOBODY;
    do
    :: one == NOBODY -> break
    :: else ->
        is_here(one);
        after = next[one];
        next[one] = rest;
        rest = one;
        one = after
    od;
    after = 0
}

/* pool::take_from: `part` references out of `one` */
inline take_from() {
    left = part;
    do
    :: left == 0 -> break
    :: else ->
        is_here(one);
#ifdef EARLY_SPARE
        hand_back();
#endif
        if
        :: head_at[one] ->
            at = first[one];
            first[one] = link[at];
            head_at[one] = false;
#ifndef EARLY_SPARE
            hand_back()
#endif
        :: else
        fi;
        atomic {
        at = first[one];
        assert(in_use[at] && slot[at] == read[one] + 1);
        read[one] = read[one] + 1;
        head_at[one] = true;
        left--;
        at = 0 }
    od
}

/* Into `spare`; what was there is freed. */
inline hand_back() {
#ifdef EARLY_SPARE
    at = first[one];
#endif
    atomic {
        assert(in_use[at]);
        if
        :: spare[one] != NOBODY && spare[one] != at -> in_use[spare[one]] = false
        :: else
        fi;
        spare[one] = at
    }
}

/* The count falls, and says what is to become of the producer. */
inline settle() {
    atomic {
#ifdef STALE
        left = before - part;
        count[one] = count[one] - part
#else
        count[one] = count[one] - part;
        left = count[one]
#endif
    }
}

/* pool::take */
proctype drain() {
    byte one, rest, after, part, left, at, seen, most, before;
    bool is_listed;
    do
    :: head != NOBODY && head != CLOSED ->
        if :: most = 1 :: most = 2 fi;
        take_lock();
        take_list(NOBODY);
        do
        :: rest == NOBODY || most == 0 -> break
        :: else ->
            one = rest;
            rest = next[one];
            before = count[one];
            part = ((before & 63) < most -> (before & 63) : most);
            take_from();
            atomic { most = most - part; came_out[one] = came_out[one] + part };
            settle();
            if
            :: left == ORPHAN -> free_producer(one)
            :: left == 0
            :: else -> next[one] = rest; rest = one
            fi
        od;
        do
        :: rest == NOBODY -> break
        :: else -> one = rest; rest = next[one]; list(one)
        od;
        atomic { one = 0; rest = 0; part = 0; left = 0; seen = 0; most = 0; before = 0; is_listed = false };
        release_lock()
    :: ended == PRODUCERS && (head == NOBODY || head == CLOSED) -> break
    od
}

/* pool::close, after the gate was set to dead */
proctype closer() {
    byte one, rest, after, part, left, at;
    is_dead = true;
    take_lock();
    take_list(CLOSED);
    do
    :: rest == NOBODY -> break
    :: else ->
        one = rest;
        rest = next[one];
        do
        :: true ->
            part = count[one] & 63;
            take_from();
            atomic { leaked[one] = leaked[one] + part; count[one] = count[one] - part; left = count[one] };
            if
            :: (left & 63) == 0 -> break
            :: else
            fi
        od;
        if
        :: left == ORPHAN -> free_producer(one)
        :: else
        fi
    od;
    release_lock()
}

init {
    byte p;
    atomic {
        in_use[cell(0, 0)] = true;
        in_use[cell(1, 0)] = true;
        first[0] = cell(0, 0);
        first[1] = cell(1, 0);
        run memory();
        run thread(0);
        run thread(1);
        run drain();
#ifdef SECOND_DRAIN
        run drain();
#endif
#ifdef CLOSING
        run closer()
#endif
    };
    _nr_pr == 2;                            /* all but memory() have ended */
    do
    :: p == PRODUCERS -> break
    :: else ->
        assert(came_out[p] + leaked[p] == attempts[p]);
        /* One that was refused keeps its count, and its producer is left to the process. */
        assert(is_freed[p] || was_refused[p]);
        assert(was_refused[p] || !(in_use[cell(p, 0)] || in_use[cell(p, 1)] || in_use[cell(p, 2)]));
        p++
    od
}
