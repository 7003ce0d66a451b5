/* Threads load and unload libraries at the same time, one thread each: storm ROUNDS LIBRARY... What a library calls is
 * routed before dlopen returns, and never while the dynamic linker relocates it. Prints how often it was not. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int rounds;

static void *work(void *name) {
    long failed = 0;
    for (int i = 0; i < rounds; ++i) {
        void *library = dlopen(name, i % 2 ? RTLD_NOW | RTLD_LOCAL : RTLD_LAZY);
        void *(*reached)(void) = library ? (void *(*)(void))dlsym(library, "reached") : NULL;
        if (!reached || !reached())
            ++failed;
        if (library)
            dlclose(library);
    }
    return (void *)failed;
}

int main(int count, char **words) {
    pthread_t threads[16];
    long failed = 0;
    rounds = atoi(words[1]);
    for (int i = 2; i < count; ++i)
        pthread_create(&threads[i - 2], NULL, work, words[i]);
    for (int i = 2; i < count; ++i) {
        void *result;
        pthread_join(threads[i - 2], &result);
        failed += (long)result;
    }
    printf("%ld\n", failed);
    return 0;
}
