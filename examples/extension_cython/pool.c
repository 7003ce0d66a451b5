/* A pool of native threads: see pool.h. */
#include "pool.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below, and the pool's part of each job */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static pthread_t threads[THREADS];
static int started, is_closed;
static job *first, *last;
static pid_t process; /* the one that started the threads */

/* In a child of fork() the lock may be held by a thread that it does not have. */
static int is_forked(void) { return process != 0 && process != getpid(); }

static void *work(void *nothing) {
    pthread_mutex_lock(&lock);
    for (;;) {
        job *next;
        while (first == NULL && !is_closed)
            pthread_cond_wait(&wake, &lock);
        if (first == NULL)
            break;
        next = first;
        first = next->next;
        pthread_mutex_unlock(&lock);
        next->run(next); /* without the lock: it waits for Python */
        pthread_mutex_lock(&lock);
        next->is_done = 1;
        pthread_cond_broadcast(&done);
        pthread_mutex_unlock(&lock);
        job_release(next);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return nothing;
}

int pool_add(job *added) {
    int status = -1;
    added->users = 1;
    if (is_forked())
        return -1;
    pthread_mutex_lock(&lock);
    if (!is_closed) {
        process = getpid();
        if (started < THREADS && pthread_create(&threads[started], NULL, work, NULL) == 0)
            started++;
        if (started > 0) {
            added->users++;
            added->next = NULL;
            if (first == NULL)
                first = added;
            else
                last->next = added;
            last = added;
            pthread_cond_signal(&wake);
            status = 0;
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void pool_close(void) {
    int i;
    if (is_forked())
        return;
    pthread_mutex_lock(&lock);
    is_closed = 1;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    for (i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

int pool_wait(job *awaited, long milliseconds) {
    struct timespec until;
    int is_done, is_late = 0;
    if (is_forked())
        return 1;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += milliseconds % 1000 * 1000000;
    until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    while (!awaited->is_done && !is_late)
        is_late = pthread_cond_timedwait(&done, &lock, &until) != 0;
    is_done = awaited->is_done;
    pthread_mutex_unlock(&lock);
    return is_done;
}

int pool_includes_me(void) {
    int i, is_one = 0;
    if (is_forked())
        return 0;
    pthread_mutex_lock(&lock);
    for (i = 0; i < started; i++)
        is_one |= pthread_equal(threads[i], pthread_self());
    pthread_mutex_unlock(&lock);
    return is_one;
}

void job_cancel(job *cancelled) {
    if (is_forked())
        return;
    pthread_mutex_lock(&lock);
    cancelled->is_cancelled = 1;
    pthread_mutex_unlock(&lock);
}

int job_is_cancelled(job *asked) {
    int answer;
    pthread_mutex_lock(&lock);
    answer = asked->is_cancelled || is_closed;
    pthread_mutex_unlock(&lock);
    return answer;
}

void job_release(job *released) {
    int users;
    if (is_forked())
        return; /* it is leaked: one of the threads may have been using it */
    pthread_mutex_lock(&lock);
    users = --released->users;
    pthread_mutex_unlock(&lock);
    if (users == 0)
        released->forget(released);
}
