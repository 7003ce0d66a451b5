/* A library that calls a function on threads of its own. It knows nothing of Python. */
#include <pthread.h>
#include <stdint.h>

typedef int (*function)(int number);
struct job {
    function called;
    int first, times, sum;
};

static void *work(void *argument) {
    struct job *job = argument;
    for (int i = 0; i < job->times; ++i)
        job->sum += job->called(job->first + i);
    return NULL;
}

int call(function called, int first, int times) {
    struct job job = {called, first, times, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, &job) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    return job.sum;
}

static void *work_for_ever(void *called) {
    for (;;)
        ((function)(uintptr_t)called)(1);
    return NULL;
}

int leave_behind(function called) {
    pthread_t thread;
    return pthread_create(&thread, NULL, work_for_ever, (void *)(uintptr_t)called) != 0 || pthread_detach(thread) != 0;
}
