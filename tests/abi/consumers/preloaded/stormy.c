/* A library of storm.c. No Python is in that process, so the address is NULL unless the call is routed. */
__attribute__((weak)) int PyGILState_Ensure(void);
__attribute__((weak)) void PyGILState_Release(int);
void *reached(void) { return (void *)PyGILState_Ensure; }
void released(void) { PyGILState_Release(0); }
