/* See equal_words.c. It is a library of its own, because the library under test searches the thread-locals of the
 * library that contains the function that detaches. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* The calling thread is attached with `state`. `save` and `restore` are CPython's functions. */
__attribute__((visibility("default"))) void equal_words_use(int how_many, void *state, void *(*save)(void),
                                                            void (*restore)(void *));
__attribute__((visibility("default"))) void *equal_words_save(void);
__attribute__((visibility("default"))) void equal_words_restore(void *state);

#ifdef __cplusplus
}
#endif
