/* Of pool.pml: how a thread gives a reference back, and ends. */

/* pool::link: stores the link, and then compares and swaps the head */
inline link_queue(p) {
    seen = head;
    do
    :: seen == CLOSED -> is_in_list = false; break
    :: else ->
        atomic { check_not_freed(p); assert(!is_linked[p]); next[p] = seen };
        if
        :: atomic { head == seen -> head = p; is_linked[p] = true; is_in_list = true }; break
        :: atomic { head != seen -> seen = head }
        fi
    od;
    seen = 0
}

/* pool::unlink_and_free */
inline unlink_and_free(p) {
    atomic {
        check_not_freed(p);
        assert(!is_linked[p]);
        is_freed[p] = true;
        slot_at = head_chunk[p];
        do
        :: slot_at != NONE -> assert(in_use[slot_at]); in_use[slot_at] = false; slot_at = chunk_next[slot_at]
        :: else -> break
        od;
        if
        :: spare[p] != NONE -> assert(in_use[spare[p]]); in_use[spare[p]] = false
        :: else
        fi;
        slot_at = 0
    }
}

/* decref_queue::extend; one atomic step, because no other thread reads yet what it writes */
inline extend() {
    fresh = spare[me];
    spare[me] = NONE;
    if
    :: fresh != NONE
    :: else ->
        fresh = cell(me, 0);
        do
        :: in_use[fresh] -> fresh++
        :: else -> break
        od;
        assert(fresh < cell(me + 1, 0))
    fi;
    in_use[fresh] = true;
    chunk_next[fresh] = NONE;
    chunk_next[tail] = fresh;
    tail = fresh;
    fresh = NONE
}

/* The store or the exchange of decref_queue::publish_plain and publish_fenced */
inline publish() {
    atomic {
        own_pushed[me] = own_pushed[me] + 1;
        if
        :: is_fenced -> write_out(me)
        :: else
        fi
    }
}

/* pool::enlist, without become_fenced: see read_place() */
inline enlist() {
    atomic { write_out(me); is_in_list = in_pool_list[me]; in_pool_list[me] = true };
    if
    :: is_in_list
    :: else ->
        link_queue(me);
        if
        :: is_in_list
        :: else ->                          /* the pool is closed */
#ifndef TAKEN_BACK
            take_lock();
            if
            :: own_pushed[me] == taken[me]
            :: else ->
#endif
                atomic { tail_is_full = false; own_pushed[me] = own_pushed[me] - 1; leaked[me] = leaked[me] + 1 }
#ifndef TAKEN_BACK
            fi;
#endif
            atomic { write_out(me); in_pool_list[me] = false };
#ifndef TAKEN_BACK
            release_lock()
#endif
        fi
    fi
}

/* The load of in_pool_list, and decref_queue::become_fenced, which no other thread reads yet */
inline read_place() {
    atomic {
        is_in_list = in_pool_list[me];
        if
        :: !is_in_list -> pushes_plain = false; own_plain[me] = false
        :: else
        fi
    }
}

/* pool::push */
inline push() {
    atomic {
        check_not_freed(me);
        if
        :: tail_is_full -> extend()
        :: else
        fi;
        if :: pushes_plain -> is_fenced = false :: is_fenced = true fi;
        write_slot_out(me);                 /* each slot's store before the next one's */
        held_back[me] = tail;
        held_value[me] = attempts[me];
        tail_is_full = true
    };
#ifdef SWAPPED
    read_place();
    publish();
#else
    publish();
    read_place();
#endif
    if
    :: !is_in_list -> enlist()
    :: else ->
        atomic {
            if
            :: is_fenced && own_plain[me] -> pushes_plain = true
            :: is_fenced && !own_plain[me] ->
                own_plain[me] = true;
#ifdef EARLY_PLAIN
                pushes_plain = true
#endif
            :: !is_fenced || !own_plain[me]
            fi
        }
    fi;
    atomic { is_in_list = false; is_fenced = false }
}

/* pool::orphan */
inline orphan() {
    check_not_freed(me);
#ifdef LATE_ORPHAN
    is_in_list = in_pool_list[me];
    take_lock();
#else
    take_lock();
    is_in_list = in_pool_list[me];
#endif
    if
    :: is_in_list -> is_orphan[me] = true
    :: else -> unlink_and_free(me)
    fi;
    atomic { is_in_list = false; ended++ };
    release_lock()
}
