/* Represents a CPython that stores the current tstate in thread-locals of its own: in the first `used` of two words. */
#include "equal_words.h"

static __thread void *words[2];
static int used;
static void *(*real_save)(void);
static void (*real_restore)(void *);

static void write_words(void *state) {
    for (int i = 0; i < used; ++i)
        words[i] = state;
}

void equal_words_use(int how_many, void *state, void *(*save)(void), void (*restore)(void *)) {
    used = how_many;
    real_save = save;
    real_restore = restore;
    write_words(state);
}

void *equal_words_save(void) {
    write_words(0);
    return real_save();
}

void equal_words_restore(void *state) {
    real_restore(state);
    write_words(state);
}
