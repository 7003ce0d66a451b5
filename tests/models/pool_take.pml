/* Of pool.pml: how a drain finds what was given back. */

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

/* decref_queue::take: `part` references out of `one` */
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

/* pool::delist: what was given something meanwhile goes in front of `rest` */
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
