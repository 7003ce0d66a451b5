/* The pool of one interpreter (src/pool/). Threads push references, each into a decref queue of its own, change to
 * plain stores and back, and end. Drains take the references out. With CLOSING the pool is closed besides.
 *
 * A thread's stores stay in its store buffer for a time, where only the thread itself reads them. Each store is
 * written out at any time; at the latest by an exchange of the thread, by a drain's heavy fence (which makes every
 * thread execute a fence), or when the thread releases the lock. The stores to slots are written out in their
 * order, and so are those to `pushed`. A store to `pushed` is not written out before that of its slot. A store to
 * `is_plain` is written out at any time. This order is weaker than that of x86, where all stores are written out
 * in one order. A sequentially consistent store waits in the buffer as well, because the standard lets a relaxed
 * load overtake it. Taking the lock writes nothing out.
 *
 * A chunk has one slot, so that every push needs another chunk. In src/pool/ the first push into a chunk is
 * fenced; here that is a free choice: a plain thread pushes either way. It is a free choice, too, whether enough
 * references wait to become plain, and whether the first thread is plain already at the beginning.
 *
 * Shown: each reference comes out once, in the order of its thread, or is counted as leaked, once. No reference is
 * stranded. A queue is in the list at most once. Each queue and each chunk is freed once, and not used afterwards.
 *
 * Good:  nothing defined, CLOSING, or OWN   the first thread also drains, between its pushes
 * Bad:   SWAPPED      push() reads whether the queue is in the list before it publishes
 *        UNRELEASED   a plain push publishes without release
 *        NO_FENCE     delist() has no heavy fence
 *        FENCE_FIRST  delist() has the heavy fence before it takes the queues off the list
 *        MODE_FIRST   delist() uses the mode that was read before the queue's references were copied
 *        EARLY_PLAIN  a thread is plain as soon as it has announced that, without a fenced push in between
 *        STALE        take() does not read `pushed` again after it has delisted a queue that it found empty
 *        DOUBLE       delist() enters the list with a load and a store of in_pool_list
 *        EARLY_SPARE  take_from() passes a chunk back before it has read it
 *        LATE_ORPHAN  orphan() reads whether the queue is in the list, and takes the lock afterwards
 *        TAKEN_BACK   (CLOSING) enlist() undoes the refused push without testing whether a drain has taken it
 *        LISTED_ONLY  (CLOSING) close() empties the queues that are in the list, and no others
 */
#if (defined(TAKEN_BACK) || defined(LISTED_ONLY)) && !defined(CLOSING)
#define CLOSING
#endif
#define QUEUES 2
#ifndef PUSHES
#define PUSHES 4                            /* of the first thread */
#endif
#ifndef OTHER_PUSHES
#define OTHER_PUSHES 1
#endif
#define CHUNKS PUSHES
#define cell(p, c) ((p) * CHUNKS + (c))
#define NONE 255                          /* a null pointer, or no thread */
#define CLOSED 254                          /* pool::closed */

byte head = NONE;                         /* head_ */
byte next[QUEUES] = NONE;              /* pool_entry::next */
bool in_pool_list[QUEUES];
byte pushed[QUEUES];                     /* as other threads read it */
bool is_plain[QUEUES];
byte taken[QUEUES];
bool is_orphan[QUEUES];
byte spare[QUEUES] = NONE;
byte head_chunk[QUEUES];                      /* decref_queue::head_, of which head_is_read slots (0 or 1) are read */
bool head_is_read[QUEUES];
byte next_emptied[QUEUES] = NONE;
byte chunk_next[QUEUES * CHUNKS] = NONE;     /* chunk::next */
byte slot[QUEUES * CHUNKS];              /* as other threads read it */
bool in_use[QUEUES * CHUNKS];            /* allocated */
bool locked;                                /* pool::data::lock */
bool has_ended;                               /* the gate has ended, which decref.cpp tests first */

/* What the thread itself reads: the stores in its buffer, and the values that they will leave. */
byte own_pushed[QUEUES];
bool own_plain[QUEUES];
byte held_back[QUEUES] = NONE;         /* the slot, and its value */
byte held_value[QUEUES];

/* What has happened to each thread's references, and to each queue. */
byte read[QUEUES], came_out[QUEUES], leaked[QUEUES], attempts[QUEUES];
bool is_linked[QUEUES], is_freed[QUEUES];
byte ended;

#define take_lock() atomic { !locked -> locked = true }
#define check_not_freed(p) assert(!is_freed[p])

#define write_slot_out(p) if :: held_back[p] != NONE -> slot[held_back[p]] = held_value[p]; \
                                held_back[p] = NONE; held_value[p] = 0 :: else fi
#define write_out(p) write_slot_out(p); pushed[p] = own_pushed[p]; is_plain[p] = own_plain[p]
#define write_own_out() if :: own != NONE -> write_out(own) :: else fi
#define release_lock() atomic { write_own_out(); locked = false }

/* How many references wait in the queue, as the calling thread reads it. */
#define pushed_seen(p) (p == own -> own_pushed[p] : pushed[p])
#define waits(p) (pushed_seen(p) - taken[p])

#include "pool_push.pml"
#include "pool_take.pml"

proctype thread(byte me) {
    byte own = me, tail = cell(me, 0), fresh = NONE, seen;
    bool tail_is_full = is_plain[me], pushes_plain = is_plain[me], is_fenced, is_in_list;
    byte queue, rest, following, emptied, part, slot_at, most;
    bool needs_fence;
    do
    :: attempts[me] == (me == 0 -> PUSHES : OTHER_PUSHES) -> break
    :: attempts[me] < (me == 0 -> PUSHES : OTHER_PUSHES) ->
        attempts[me] = attempts[me] + 1;
        if
        :: has_ended -> leaked[me] = leaked[me] + 1
        :: else -> push()
        fi
#ifdef OWN
    :: me == 0 && head != NONE && head != CLOSED -> take()
#endif
    od;
    orphan()
}

/* Writes the buffered stores out at any time. */
#ifdef UNRELEASED
#define slot_first(p)
#else
#define slot_first(p) if :: held_value[p] == pushed[p] -> write_slot_out(p) :: else fi;
#endif
proctype memory() {
end:
    do
    :: atomic { held_back[0] != NONE -> write_slot_out(0) }
    :: atomic { held_back[1] != NONE -> write_slot_out(1) }
    :: atomic { pushed[0] != own_pushed[0] ->
           pushed[0] = pushed[0] + (pushed[0] < own_pushed[0] -> 1 : -1);
           slot_first(0) }
    :: atomic { pushed[1] != own_pushed[1] ->
           pushed[1] = pushed[1] + (pushed[1] < own_pushed[1] -> 1 : -1);
           slot_first(1) }
    :: atomic { is_plain[0] != own_plain[0] -> is_plain[0] = own_plain[0] }
    :: atomic { is_plain[1] != own_plain[1] -> is_plain[1] = own_plain[1] }
    od
}

proctype drain() {
    byte own = NONE, queue, rest, following, emptied, part, slot_at, seen, most;
    bool needs_fence, is_in_list;
    do
    :: head != NONE && head != CLOSED -> take()
    :: ended == QUEUES && (head == NONE || head == CLOSED) -> break
    od
}

/* pool::close, after the gate has ended */
proctype closer() {
    byte own = NONE, queue, rest, following, emptied, part, slot_at, seen;
    bool needs_fence;
    has_ended = true;
    take_lock();
    take_list(CLOSED);
#ifdef LISTED_ONLY
    emptied = NONE;
    do
    :: rest == NONE && emptied == NONE -> break
    :: rest == NONE && emptied != NONE -> delist(); emptied = NONE
    :: rest != NONE ->
        atomic { queue = rest; rest = next[queue] };
        do
        :: atomic { waits(queue) != 0 ->
               assert(pushed[queue] >= taken[queue]);
               part = waits(queue);
               leaked[queue] = leaked[queue] + part };
            take_from()
        :: atomic { waits(queue) == 0 -> next_emptied[queue] = emptied; emptied = queue }; break
        od
    od;
#else
    /* No thread links a queue any more. A thread whose push is not read here finds its queue outside the list, and
     * waits for the lock. */
    do
    :: queue == QUEUES -> break
    :: else ->
        if
        :: !is_freed[queue] -> in_pool_list[queue] = false
        :: else
        fi;
        queue++
    od;
    heavy_fence();
    queue = 0;
    do
    :: queue == QUEUES -> break
    :: else ->
        if
        :: !is_freed[queue] ->
            atomic { assert(pushed[queue] >= taken[queue]); part = waits(queue); leaked[queue] = leaked[queue] + part };
            take_from();
            if
            :: is_orphan[queue] -> unlink_and_free(queue)
            :: else
            fi
        :: else
        fi;
        queue++
    od;
#endif
    release_lock()
}

init {
    byte p, slot_at;
    atomic {
        in_use[cell(0, 0)] = true;
        in_use[cell(1, 0)] = true;
        head_chunk[0] = cell(0, 0);
        head_chunk[1] = cell(1, 0);
        if
        :: true
        :: true ->                          /* the first thread is plain, and one of its references waits */
            attempts[0] = 1;
            slot[cell(0, 0)] = 1;
            own_pushed[0] = 1;
            pushed[0] = 1;
            own_plain[0] = true;
            is_plain[0] = true;
            in_pool_list[0] = true;
            is_linked[0] = true;
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
    _nr_pr == 2;                            /* all processes but memory() have ended */
    do
    :: p == QUEUES -> break
    :: else ->
        assert(came_out[p] + leaked[p] == attempts[p]);
        assert(is_freed[p]);
        slot_at = 0;
        do
        :: slot_at == CHUNKS -> break
        :: else -> assert(!in_use[cell(p, slot_at)]); slot_at++
        od;
        p++
    od
}
