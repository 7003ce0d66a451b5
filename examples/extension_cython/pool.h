/* A pool of native threads, as C libraries have one. Knows nothing of Python. */
#ifndef POOL_H
#define POOL_H

/* The first member of whatever is to be done. */
typedef struct job {
    void (*run)(struct job *);    /* on a thread of the pool */
    void (*forget)(struct job *); /* frees it, when the pool and its maker have both released it */
    struct job *next;             /* the rest is the pool's own */
    int users, is_done, is_cancelled;
} job;

/* Queues a job, which from now on has a second user, the pool. Does not block. 0; or -1: the pool is closed, no thread
 * could be started, or this is a child of fork(), which has none of the threads. Then its maker is the only user. */
int pool_add(job *added);
/* Cancels all jobs, and waits until they are done and the threads have ended. No job is taken any more. */
void pool_close(void);
/* Waits, up to `milliseconds`: 1 if the job is done, or this is a child of fork(); else 0. */
int pool_wait(job *awaited, long milliseconds);
/* 1 if the calling thread is one of the pool's. */
int pool_includes_me(void);

/* A request, which `run` looks for with job_is_cancelled. Does not block. */
void job_cancel(job *cancelled);
int job_is_cancelled(job *asked);
/* What the maker of a job calls when it does not need it any more. Does not block. */
void job_release(job *released);

#endif
