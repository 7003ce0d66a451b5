/* Trace: a timeline of what native threads do with Python: who is attached, who waits for whom, and since when.
 *
 * While a trace records, each thread notes its attaches, detached scopes, waits and refusals in memory of its own. The
 * newest records are kept, so a trace may run for as long as the program does (a flight recorder). It is written as a
 * file when asked for, and, if the options say so, at an exit time-out and before this library aborts.
 *
 * Without a trace this costs nothing. With one, threads take the slow paths of this library, and each record adds some
 * nanoseconds. A nested attached scope is not recorded, nor is a mutex that was free. */
#ifndef PYATTACH_TRACE_H
#define PYATTACH_TRACE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The format of a file. */
typedef enum pyattach_trace_format {
    PYATTACH_TRACE_CHROME = 0,   /* JSON in Chrome's trace event format; ui.perfetto.dev and about:tracing read it */
    PYATTACH_TRACE_PERFETTO = 1, /* Perfetto's protobuf, as track events */
    PYATTACH_TRACE_HTML = 2      /* a page that shows the trace in a browser, and loads nothing from a network */
} pyattach_trace_format;

/* What a trace keeps, and where it is written by itself. Zeroed: the usual. */
typedef struct pyattach_trace_options {
    size_t struct_size;       /* set by the caller to sizeof(pyattach_trace_options) */
    size_t events_per_thread; /* how many records each thread keeps, of 32 bytes each, rounded up to a power of two;
                                 0: 16384; at least 64 are kept */
    int keep_oldest;          /* not zero: a thread whose memory is full records nothing more; 0: it keeps the newest */
    const char *dump_path;    /* written at an exit time-out, and before the library aborts because it was misused;
                                 copied; NULL: nothing is written then */
    pyattach_trace_format dump_format; /* the format of that file */
    int dump_signal;                   /* dump_path is also written when this signal comes, such as SIGUSR1; 0: none */
} pyattach_trace_options;

/* Starts to record what all threads of the process do from now on. A thread that is inside a call of this library at
 * this moment records from its next call on. What the trace before recorded is discarded. NULL: no options.
 *
 * After fork() a trace goes on in both processes: that of the child holds what the child does.
 *
 * dump_signal: its handler is this library's until the stop. The file is written by a thread that this function starts,
 * which waits for nothing of Python's, so also in a deadlock. It takes the signal where all other threads block it. A
 * signal that comes while the file is being written has it written once more. What cannot be written is told to the
 * message handler, on that thread. A fork child has no such thread: the signal does nothing there, until the child has
 * stopped the trace.
 *
 * PYATTACH_OK: the trace records, until pyattach_trace_stop.
 * PYATTACH_INVALID: a trace records already, and goes on; or struct_size is zero, dump_format is no format, dump_signal
 *     is no signal that a handler may take, or there is no dump_path for it.
 * PYATTACH_NO_MEMORY: there is no memory for the records of one thread, and what the trace before recorded is kept; or
 *     dump_signal needs a thread, and the system starts none. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_trace_start(const pyattach_trace_options *options);

/* Stops recording. What was recorded is kept for pyattach_trace_write, until the next start. When this function
 * returns, no thread records any more. The handler that dump_signal had before is put back, unless the program has set
 * another one since. Blocks while dump_path is being written.
 *
 * PYATTACH_OK: the trace has stopped.
 * PYATTACH_INVALID: no trace records. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_trace_stop(void);

/* Writes what has been recorded, while a trace records or after it has stopped. Blocks while the file is written.
 * Writes `path` anew, or to an open descriptor, which stays open. What was recorded is kept in every case.
 *
 * PYATTACH_OK: the file is complete.
 * PYATTACH_INVALID: nothing was recorded, because no trace was started; `format` is no format; `path` is NULL; or the
 *     file cannot be written, for the reason in errno, in which case a part of it may be there.
 * PYATTACH_NO_MEMORY: there is no memory to sort the records. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_trace_write(const char *path, pyattach_trace_format format);
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_trace_write_fd(int descriptor, pyattach_trace_format format);

#ifdef __cplusplus
}
#endif
#endif
