/* A library of storm.c. No Python is in that process, so the address is NULL unless the call is routed. */
__attribute__((weak)) int PyGILState_Ensure(void);
__attribute__((weak)) void PyGILState_Release(int);
void *reached(void) { return (void *)PyGILState_Ensure; }
void released(void) { PyGILState_Release(0); }

/* The dynamic linker calls this while it relocates the library, and writes what it returns into a page that it makes
 * read-only afterwards. */
static int answer(void) { return 42; }
static int (*choose(void))(void) {
    for (volatile int i = 0; i < 200000; ++i) {
    }
    return answer;
}
int chosen(void) __attribute__((ifunc("choose")));
int (*pointer(void))(void) { return chosen; }
