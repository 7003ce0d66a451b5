/* Of pool.pml: how a thread gives a reference back, and ends. */

/* pool::link: the link, and a compare-and-swap */
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

/* decref_queue::extend; in an atomic step, as what it writes is in nobody's reach yet */
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

/* pool::enlist, but for its first two lines: see look() */
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
