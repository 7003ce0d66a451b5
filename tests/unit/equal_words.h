/* See equal_words.c: a library, since the words looked at are those of whatever holds the function that detaches. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Attached with `state`; `save` and `restore` are CPython's own. */
__attribute__((visibility("default"))) void equal_words_use(int how_many, void *state, void *(*save)(void),
                                                            void (*restore)(void *));
__attribute__((visibility("default"))) void *equal_words_save(void);
__attribute__((visibility("default"))) void equal_words_restore(void *state);

#ifdef __cplusplus
}
#endif
