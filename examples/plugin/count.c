/* Counting: see count.h. */
#include "count.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "summary.h"

/* How many summaries, with their trees, a thread keeps at a time. Few: what they take must not grow with the number of
 * files. */
#define KEPT 16

typedef struct job {
    const plugin_host *host;
    const char *const *paths;
    size_t files;
    struct _object *released; /* a list: one element for every summary destroyed */
    pthread_mutex_t lock;     /* guards `next` */
    size_t next;
} job;

typedef struct worker {
    job *of;
    pthread_t thread;
    struct _object *make;
    struct _object *kept[KEPT];
    size_t oldest;
    plugin_counts counts;
    int result;
} worker;

static const char *next_path(job *it) {
    const char *path = NULL;
    pthread_mutex_lock(&it->lock);
    if (it->next < it->files)
        path = it->paths[it->next++];
    pthread_mutex_unlock(&it->lock);
    return path;
}

static void reject(worker *self, const char *path, const char *reason) {
    const plugin_host *host = self->of->host;
    self->counts.rejected++;
    host->rejected(host->context, path, reason);
    host->file_done(host->context);
}

/* The thread is not attached here, so this does not wait: the reference is queued, and the next thread that
 * attaches releases it. */
static void drop(worker *self, struct _object *summary) {
    if (summary == NULL)
        return;
    pyattach_decref(summary);
    self->counts.dropped++;
}

/* Keeps `summary` in the place of the oldest, which goes. */
static void keep(worker *self, struct _object *summary) {
    drop(self, self->kept[self->oldest]);
    self->kept[self->oldest] = summary;
    self->oldest = (self->oldest + 1) % KEPT;
}

/* One file. Not OK: this thread cannot be attached any more. */
static pyattach_status count_file(worker *self, const char *path) {
    const plugin_host *host = self->of->host;
    pyattach_attached scope;
    pyattach_status status;
    struct _object *summary;
    int64_t functions, classes;
    source text;
    char reason[512];
    int error = source_read(&text, path); /* not attached: another thread may have Python meanwhile */
    if (error != 0) {
        reject(self, path, strerror(error));
        return PYATTACH_OK;
    }
    status = pyattach_attached_begin(&scope);
    if (status != PYATTACH_OK) {
        free(text.bytes);
        return status;
    }
    status = summary_make(self->make, path, &text, &summary, &functions, &classes);
    if (status != PYATTACH_OK) {
        pyattach_error_message(reason, sizeof reason);
        pyattach_error_clear();
    }
    pyattach_attached_end(&scope);
    free(text.bytes);
    if (status != PYATTACH_OK) {
        reject(self, path, reason);
        return PYATTACH_OK;
    }
    self->counts.files++;
    self->counts.functions += (uint64_t)functions;
    self->counts.classes += (uint64_t)classes;
    self->counts.lines += text.lines;
    keep(self, summary);
    host->file_done(host->context);
    return PYATTACH_OK;
}

static void *work(void *argument) {
    worker *self = argument;
    pyattach_attached scope;
    const char *path;
    size_t i;
    pyattach_status status = pyattach_attached_begin(&scope);
    if (status == PYATTACH_OK) {
        status = summary_maker(self->of->released, &self->make);
        if (status != PYATTACH_OK) /* while the exception is there to be shown */
            self->result = complain(self->of->host, "a thread could not prepare itself", status);
        pyattach_attached_end(&scope);
    }
    while (status == PYATTACH_OK && (path = next_path(self->of)) != NULL)
        status = count_file(self, path);
    if (status != PYATTACH_OK && self->result == 0)
        self->result = complain(self->of->host, "a thread had to stop counting", status);
    for (i = 0; i < KEPT; i++)
        drop(self, self->kept[i]);
    pyattach_decref(self->make);
    return NULL;
}

static void add(plugin_counts *sum, const plugin_counts *more) {
    sum->files += more->files;
    sum->functions += more->functions;
    sum->classes += more->classes;
    sum->lines += more->lines;
    sum->rejected += more->rejected;
    sum->dropped += more->dropped;
}

static int run_workers(job *it, unsigned threads, plugin_counts *counts) {
    int result = 0;
    unsigned i, started;
    worker *workers = calloc(threads, sizeof *workers);
    if (workers == NULL)
        return complain(it->host, "threads could not be made", PYATTACH_NO_MEMORY);
    pthread_mutex_init(&it->lock, NULL);
    for (started = 0; started < threads; started++) {
        workers[started].of = it;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0) {
            result = complain(it->host, "a thread could not be started", PYATTACH_NO_MEMORY);
            break;
        }
    }
    for (i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        add(counts, &workers[i].counts);
        if (workers[i].result != 0)
            result = workers[i].result;
    }
    pthread_mutex_destroy(&it->lock);
    free(workers);
    return result;
}

/* How many of `dropped` summaries have been destroyed. Called attached, when all threads are done. What they dropped
 * last may be in the hands of the library's own thread at this moment, so this gives that thread a few seconds. */
static pyattach_status count_released(struct _object *list, uint64_t dropped, int64_t *released) {
    const struct timespec a_moment = {0, 1000000};
    int moments;
    for (moments = 0; moments < 5000; moments++) {
        pyattach_detached gap;
        pyattach_status status = pyattach_pool_drain();
        if (status == PYATTACH_OK)
            status = summary_released(list, released);
        if (status != PYATTACH_OK || (uint64_t)*released >= dropped)
            return status;
        status = pyattach_detached_begin(&gap);
        if (status != PYATTACH_OK)
            return status;
        nanosleep(&a_moment, NULL);
        status = pyattach_detached_end(&gap);
        if (status != PYATTACH_OK)
            return status;
    }
    return PYATTACH_OK;
}

int count_definitions(const plugin_host *host, const char *const *paths, size_t files, unsigned threads,
                      plugin_counts *counts) {
    job it;
    pyattach_attached here;
    pyattach_detached gap;
    int64_t released = 0;
    int result;
    pyattach_status status = pyattach_attached_begin(&here);
    memset(counts, 0, sizeof *counts);
    memset(&it, 0, sizeof it);
    it.host = host;
    it.paths = paths;
    it.files = files;
    if (status != PYATTACH_OK)
        return complain(host, "counting could not begin", status);
    status = pyattach_eval("[]", NULL, NULL, &it.released);
    if (status == PYATTACH_OK)
        status = pyattach_detached_begin(&gap);
    if (status != PYATTACH_OK) {
        result = complain(host, "counting could not begin", status);
    } else {
        result = run_workers(&it, threads, counts);
        status = pyattach_detached_end(&gap);
        if (status == PYATTACH_OK)
            status = count_released(it.released, counts->dropped, &released);
        if (status != PYATTACH_OK)
            result = complain(host, "what was released could not be counted", status);
    }
    counts->released = (uint64_t)released;
    pyattach_decref(it.released);
    pyattach_attached_end(&here);
    return result;
}
