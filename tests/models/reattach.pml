/* The reattach guard (src/tstate/reattach_guard.hpp): a thread that other code attached re-attaches to its tstate at the
 * end of Python, while the finalizing thread clears that tstate and frees it.
 *
 * The thread's stores to `is_reattaching` go through a store buffer before other threads read them, because a later
 * load may overtake them. They are written out at any time; at the latest by the finalizing thread's heavy fence, which
 * makes every thread execute a fence, and where the thread takes or releases the GIL.
 *
 * Shown: the thread never reads its tstate after CPython has freed it, not even if another Python runs by then, whose
 * flag is not set. And the finalizing thread, which waits here
 * without a limit, is never left waiting (spin reports a process that waits for ever as an invalid end state).
 *
 * Good:  nothing defined, or SYMMETRIC   the thread executes the fence itself (the kernel refuses membarrier)
 * Bad:   SWAPPED      reattach() reads `cleared` before it stores `is_reattaching`
 *        UNFENCED     on_cleared() leaves membarrier out
 *        FENCE_FIRST  on_cleared() executes it before it stores `cleared`
 *        UNAWAITED    on_cleared() does not wait
 *        EARLY        `is_reattaching` is reset before CPython's attach has returned
 *        NOT_RESET    a thread that CPython ends does not reset `is_reattaching`
 */
#ifndef VISITS
#define VISITS 2                            /* how often the thread detaches and re-attaches */
#endif

bool gil;                                   /* a thread holds the GIL */
bool finalizing;                            /* CPython's flag */
bool cleared, is_reattaching;               /* of the guard, as other threads read them */
bool freed;                                 /* CPython has freed the tstate */
bool is_interp_cleared;                     /* interpreter::is_cleared, from then on */
chan stores = [2] of { bool };              /* the buffered stores to `is_reattaching`, in their order */

#define write_out() atomic { do :: nempty(stores) -> stores ? is_reattaching :: empty(stores) -> break od }
#define store(value) atomic { if :: full(stores) -> stores ? is_reattaching :: nfull(stores) fi; stores ! value }

/* PyEval_RestoreThread up to 3.13: reads the flag, then the tstate, then waits for the GIL, and reads the flag again. */
inline attach() {
    is_in = !finalizing;
    if
    :: is_in ->
        assert(!freed);                     /* reads the tstate */
        if
        :: atomic { !gil && !finalizing -> gil = true }; write_out()
        :: finalizing -> is_in = false
        fi
    :: else
    fi
}

proctype owner() {
    bool is_in, is_cleared;
    byte visits = 0;
    do
    :: visits == VISITS -> break
    :: visits < VISITS ->
        visits++;
#ifdef SWAPPED
        is_cleared = cleared;
        store(true);
#else
        store(true);
#ifdef SYMMETRIC
        write_out();                        /* light_fence() without membarrier */
#endif
        is_cleared = cleared;
#endif
        if
        :: is_cleared && (finalizing || is_interp_cleared) -> store(false); break   /* park_if_ending */
        :: else
        fi;
#ifdef EARLY
        store(false);
#endif
        attach();
        if
        :: !is_in ->
#ifndef NOT_RESET
            store(false);
#endif
            break                           /* CPython has ended the thread, which `guarded` parks */
        :: is_in
        fi;
        store(false);
        write_out();
        gil = false                         /* the thread detaches again */
    od
}

proctype finalizer() {
    atomic { !gil -> gil = true };
    finalizing = true;
    /* on_cleared */
#ifdef FENCE_FIRST
    write_out();
    cleared = true;
#else
    cleared = true;
#ifndef UNFENCED
#ifndef SYMMETRIC
    write_out();
#endif
#endif
#endif
#ifndef UNAWAITED
    !is_reattaching;
#endif
    freed = true;
    is_interp_cleared = true;
    finalizing = false;                     /* Python is started again */
    gil = false
}

/* Writes the buffered stores out at any time. */
proctype memory() {
end:
    do
    :: atomic { nempty(stores) -> stores ? is_reattaching }
    od
}

init {
    atomic {
        run memory();
        run owner();
        run finalizer()
    }
}
