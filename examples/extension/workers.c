/* Workers: see workers.h. */
#include "workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2

struct workers {
    pid_t process; /* a forked child has none of the threads */
    int users;     /* the module and the exit callback; guarded by `lock`, as all below */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    task *first, **last;
    size_t unfinished; /* queued and running */
    int is_closed;
    int started;
    pthread_t threads[THREADS];
};

static void *work(void *argument) {
    workers *it = argument;
    pthread_mutex_lock(&it->lock);
    for (;;) {
        task *next;
        while (it->first == NULL && !it->is_closed)
            pthread_cond_wait(&it->wake, &it->lock);
        if (it->is_closed)
            break;
        next = it->first;
        it->first = next->next;
        if (it->first == NULL)
            it->last = &it->first;
        pthread_mutex_unlock(&it->lock);
        next->run(next); /* without the lock: it waits for Python */
        pthread_mutex_lock(&it->lock);
        if (--it->unfinished == 0)
            pthread_cond_broadcast(&it->idle);
    }
    pthread_mutex_unlock(&it->lock);
    return NULL;
}

static int is_forked(const workers *it) { return it->process != getpid(); }

/* Not attached: the threads may be waiting for the interpreter. Once closed, no thread is started any more. */
static void close_down(workers *it) {
    task *left;
    int i;
    if (is_forked(it)) /* nothing to join, and the lock may have been held by one of them */
        return;
    pthread_mutex_lock(&it->lock);
    it->is_closed = 1;
    left = it->first;
    it->first = NULL;
    it->last = &it->first;
    pthread_cond_broadcast(&it->wake);
    pthread_mutex_unlock(&it->lock);
    while (left != NULL) {
        task *next = left->next;
        left->discard(left);
        left = next;
    }
    for (i = 0; i < it->started; i++)
        pthread_join(it->threads[i], NULL);
    pthread_mutex_lock(&it->lock);
    it->unfinished = 0;
    pthread_cond_broadcast(&it->idle);
    pthread_mutex_unlock(&it->lock);
}

static void leave(workers *it) {
    int users;
    if (is_forked(it))
        return; /* leaked: see close_down */
    pthread_mutex_lock(&it->lock);
    users = --it->users;
    pthread_mutex_unlock(&it->lock);
    if (users != 0)
        return;
    pthread_cond_destroy(&it->wake);
    pthread_cond_destroy(&it->idle);
    pthread_mutex_destroy(&it->lock);
    free(it);
}

/* The interpreter begins to end. New attaches are refused by now: a thread that is about to call back gets FINALIZING,
 * drops what it has and comes back for the next task; one in the midst of a callback finishes it. */
static void at_exit(pyattach_interpreter *interpreter, void *argument) {
    (void)interpreter;
    close_down(argument);
    leave(argument);
}

workers *workers_new(pyattach_interpreter *interpreter, pyattach_status *status) {
    pthread_condattr_t monotonic;
    workers *it = calloc(1, sizeof *it);
    *status = PYATTACH_NO_MEMORY;
    if (it == NULL)
        return NULL;
    it->process = getpid();
    it->users = 2;
    it->last = &it->first;
    pthread_mutex_init(&it->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&it->wake, &monotonic);
    pthread_cond_init(&it->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *status = pyattach_exit_callback_add(interpreter, at_exit, it);
    if (*status == PYATTACH_OK)
        return it;
    it->users = 1;
    leave(it);
    return NULL;
}

void workers_forget(workers *it) { leave(it); }

/* With the lock. Threads are started when there is something to do for them. */
static void start_another(workers *it) {
    if (it->started < THREADS && (size_t)it->started < it->unfinished &&
        pthread_create(&it->threads[it->started], NULL, work, it) == 0)
        it->started++;
}

pyattach_status workers_add(workers *it, task *added) {
    pyattach_status status = PYATTACH_OK;
    if (is_forked(it))
        return PYATTACH_INVALID;
    pthread_mutex_lock(&it->lock);
    if (it->is_closed) {
        status = PYATTACH_FINALIZING;
    } else {
        it->unfinished++;
        start_another(it);
        if (it->started == 0) {
            it->unfinished--;
            status = PYATTACH_NO_MEMORY;
        } else {
            added->next = NULL;
            *it->last = added;
            it->last = &added->next;
            pthread_cond_signal(&it->wake);
        }
    }
    pthread_mutex_unlock(&it->lock);
    return status;
}

int workers_are_idle(workers *it, long milliseconds) {
    struct timespec until;
    int is_idle, is_late = 0;
    if (is_forked(it))
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += milliseconds % 1000 * 1000000;
    until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&it->lock);
    while (it->unfinished != 0 && !is_late)
        is_late = pthread_cond_timedwait(&it->idle, &it->lock, &until) != 0;
    is_idle = it->unfinished == 0;
    pthread_mutex_unlock(&it->lock);
    return is_idle;
}

int workers_include_me(workers *it) {
    int i, is_one = 0;
    if (is_forked(it))
        return 0;
    pthread_mutex_lock(&it->lock);
    for (i = 0; i < it->started; i++)
        is_one |= pthread_equal(it->threads[i], pthread_self());
    pthread_mutex_unlock(&it->lock);
    return is_one;
}
