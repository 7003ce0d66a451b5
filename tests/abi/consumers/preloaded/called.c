/* A library without Python, for ctypes: calls a function on a native thread of its own. */
#include <pthread.h>
#include <stddef.h>

struct call {
    void (*function)(void);
    int times;
};

static void *work(void *argument) {
    const struct call *call = argument;
    for (int i = 0; i < call->times; ++i)
        call->function();
    return NULL;
}

__attribute__((visibility("default"))) int call_on_thread(void (*function)(void), int times) {
    struct call call = {function, times};
    pthread_t thread;
    return pthread_create(&thread, NULL, work, &call) != 0 || pthread_join(thread, NULL) != 0;
}
