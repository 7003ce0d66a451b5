/* Threads: what each native thread that this library knows does with Python now. */
#ifndef PYATTACH_THREADS_H
#define PYATTACH_THREADS_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a thread does with Python. */
typedef enum pyattach_thread_state {
    PYATTACH_THREAD_IS_IDLE = 0,     /* neither has Python nor waits for it, and is in no scope that attached it */
    PYATTACH_THREAD_IS_WAITING = 1,  /* waits for it, at the begin of an attached scope or the end of a detached one */
    PYATTACH_THREAD_IS_ATTACHED = 2, /* has Python; on a Python with a GIL one thread at a time is attached */
    PYATTACH_THREAD_IS_DETACHED = 3  /* in a detached scope; or detached_by_other_code */
} pyattach_thread_state;

/* One thread. Later versions append members. */
typedef struct pyattach_thread_info {
    size_t struct_size;                /* of the first element: set by the caller to sizeof(pyattach_thread_info) */
    long long native_id;               /* the kernel's number of the thread, as debuggers show it; 0: not known */
    pyattach_interpreter *interpreter; /* where the thread is attached, waits or is detached; of an idle thread, where
                                          it was last; NULL: not known */
    pyattach_thread_state state;       /* what it does there */
    int is_warm;                /* not zero: the library keeps a thread state for the thread there between attaches */
    int detached_by_other_code; /* not zero: detached inside an attached scope, without a detached one. Python code on
                                   the thread sleeps, does I/O, or waits until it is its turn to run again; or other
                                   code has released Python */
    long long since_ns;         /* since when the thread has been attached, waiting, idle or in a detached scope, on the
                                   monotonic clock. Known while a trace records (trace.h), from the first thing on that
                                   the thread does after its start; else 0, because noting it would make every attach
                                   slower */
    char name[32];              /* as the system names the thread; "": not known */
    char label[64];             /* of the attached scope that the thread is in, cut off; "": it has none */
} pyattach_thread_info;

/* Writes what every thread does that has used this library and has not ended: `n` elements at most, in no particular
 * order, one for each thread. Returns how many threads there are, which may be more than `n`, as snprintf does. The
 * elements are as far apart as the struct_size of the first one says, and each gets that struct_size. NULL is as good
 * as an `n` of 0. A struct_size of zero is as good as an `n` of 0, too, and the message handler is told.
 *
 * Each thread goes on meanwhile, so each element is true of a moment of its own. A thread that other code attached is
 * known from its first scope on. Up to Python 3.11, and where the layout of CPython's thread states is not known (as in
 * debug builds), it is known of such a thread only which scopes it has open; and of a thread that this library attached
 * there in the second case, too. The end of a detached scope on a thread that other code attached counts as detached,
 * not as waiting; and so does one elsewhere, with detached_by_other_code, where the system forbids process_vm_readv(2).
 *
 * On any thread, attached or not, also before Python starts, after it has ended, and in a fork child, where it says
 * what there is in the child. Does not wait for Python and runs no Python code. */
PYATTACH_API size_t pyattach_threads_get(pyattach_thread_info *array, size_t n);

/* Writes the same as text to an open descriptor, a line for each thread, attached ones and waiting ones first:
 *
 *     pyattach: 3 threads; 1 attached, 1 waiting, 0 detached, 1 idle
 *       thread 4711 (worker): attached, main interpreter, "decode"
 *
 * Async-signal-safe: may be called in a signal handler, on any thread. Allocates nothing. If the thread that the
 * handler interrupts, or another one, is changing the lists of threads just then, it waits for a tenth of a second at
 * most, and then says so instead. May block while the descriptor is written to. Ignores errors of the descriptor. Does
 * not wait for Python and runs no Python code.
 *
 * The message handler gets the same text once in each end of an interpreter that has waited for a second. */
PYATTACH_API void pyattach_report(int descriptor);

#ifdef __cplusplus
}
#endif
#endif
