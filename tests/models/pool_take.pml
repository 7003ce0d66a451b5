/* Of pool.pml: how a drain takes references out. */

/* pool::take_list: the result begins with the oldest entry */
inline take_list(leave_behind) {
    atomic {
        queue = head;
        if
        :: head != CLOSED -> head = leave_behind
        :: else -> queue = NONE
        fi;
        rest = NONE;
        do
        :: queue == NONE -> break
        :: else ->
            check_not_freed(queue);
            is_linked[queue] = false;
            following = next[queue];
            next[queue] = rest;
            rest = queue;
            queue = following
        od;
        following = 0;
        queue = 0
    }
}

/* Puts the chunk into `spare`, and frees the chunk that was there. */
inline keep_spare(emptied_chunk) {
    assert(in_use[emptied_chunk]);
    if
    :: spare[queue] != NONE && spare[queue] != emptied_chunk -> in_use[spare[queue]] = false
    :: else
    fi;
    spare[queue] = emptied_chunk
}

/* decref_queue::take: `part` references out of `queue` */
inline take_from() {
    do
    :: part == 0 -> break
    :: else ->
        atomic {
            check_not_freed(queue);
            if
            :: head_is_read[queue] ->
                slot_at = head_chunk[queue];
                assert(chunk_next[slot_at] != NONE);
                head_chunk[queue] = chunk_next[slot_at];
                head_is_read[queue] = false;
#ifndef EARLY_SPARE
                keep_spare(slot_at)
#endif
            :: else
            fi;
#ifdef EARLY_SPARE
            keep_spare(head_chunk[queue]);
#endif
            slot_at = 0
        };
        atomic {
            slot_at = head_chunk[queue];
            assert(in_use[slot_at]);
            assert((queue == own && held_back[queue] == slot_at -> held_value[queue] : slot[slot_at]) ==
                   read[queue] + 1);
            read[queue] = read[queue] + 1;
            head_is_read[queue] = true;
            taken[queue] = taken[queue] + 1;    /* which no other drain reads before the lock is released */
            part--;
            slot_at = 0
        }
    od
}

/* Each thread executes its fence at a moment of its own. */
inline heavy_fence() {
    atomic { write_out(0) };
    atomic { write_out(1) }
}

inline read_mode() {
    needs_fence = needs_fence || (queue != own && is_plain[queue])
}

/* pool::delist: queues that their owners pushed into meanwhile precede `rest` */
inline delist() {
#ifdef FENCE_FIRST
    heavy_fence();
#endif
    queue = emptied;
    do
    :: queue == NONE -> break
    :: else ->
        atomic { check_not_freed(queue); write_own_out(); in_pool_list[queue] = false };
        atomic {
#ifndef MODE_FIRST
            read_mode();
#endif
            queue = next_emptied[queue]
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
    queue = emptied;
    do
    :: queue == NONE -> break
    :: else ->
        atomic { check_not_freed(queue); following = next_emptied[queue]; part = waits(queue) };
        if
#ifndef STALE
        :: part != 0 ->
            part = 0;
#ifdef DOUBLE
            seen = in_pool_list[queue];
            in_pool_list[queue] = true;
#else
            atomic { write_own_out(); seen = in_pool_list[queue]; in_pool_list[queue] = true };
#endif
            if
            :: !seen -> atomic { next[queue] = rest; rest = queue }
            :: else
            fi;
            seen = 0
#endif
        :: else ->
            if
            :: is_orphan[queue] -> unlink_and_free(queue)
            :: else
            fi
        fi;
        atomic { queue = following; part = 0 }
    od;
    atomic { following = 0; emptied = 0; queue = 0 }
}

/* pool::take; `own` is the queue of the draining thread, or NONE */
inline take() {
    if :: most = 1 :: most = 2 fi;
    take_lock();
    take_list(NONE);
    emptied = NONE;
    do
    :: rest == NONE || most == 0 -> break
    :: else ->
        queue = rest;
#ifdef MODE_FIRST
        read_mode();
#endif
        atomic {
            assert(pushed_seen(queue) >= taken[queue]);
            rest = next[queue];
            part = (waits(queue) < most -> waits(queue) : most);
            most = most - part;
            came_out[queue] = came_out[queue] + part
        };
        take_from();
        if
        :: atomic { waits(queue) == 0 -> next_emptied[queue] = emptied; emptied = queue }
        :: atomic { waits(queue) != 0 -> next[queue] = rest; rest = queue }
        fi
    od;
    delist();
    do
    :: rest == NONE -> break
    :: else -> queue = rest; rest = next[queue]; link_queue(queue); assert(is_in_list)
    od;
    atomic { queue = 0; rest = 0; most = 0; is_in_list = false };
    release_lock()
}
