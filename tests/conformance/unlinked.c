/* An extension as most are: CPython's symbols are left to whoever loads it. */
struct _object;
int PyGILState_Ensure(void);
void PyGILState_Release(int);
__attribute__((visibility("default"))) int attach_once(void) {
    PyGILState_Release(PyGILState_Ensure());
    return 1;
}
