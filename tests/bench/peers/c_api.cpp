// The plain C API; and a thread state kept by hand, which is the floor: no attach costs less.
#include <Python.h>

#include "gilstate_guards.hpp"

namespace bench {
namespace {

void drop_attached(object *one, long n) {
    for (; n; --n)
        Py_DECREF(reinterpret_cast<PyObject *>(one));
}

// Without a pool a thread attaches for each.
void drop(object *const *references, long n) {
    for (long i = 0; i < n; ++i) {
        PyGILState_STATE before = PyGILState_Ensure();
        Py_DECREF(reinterpret_cast<PyObject *>(references[i]));
        PyGILState_Release(before);
    }
}

#if PY_VERSION_HEX >= 0x030d0000
void section(object *one, long n) {
    for (; n; --n) {
        Py_BEGIN_CRITICAL_SECTION(reinterpret_cast<PyObject *>(one));
        Py_END_CRITICAL_SECTION();
    }
    (void)one;
}

void section2(object *one, object *two, long n) {
    for (; n; --n) {
        Py_BEGIN_CRITICAL_SECTION2(reinterpret_cast<PyObject *>(one), reinterpret_cast<PyObject *>(two));
        Py_END_CRITICAL_SECTION2();
    }
    (void)one;
    (void)two;
}

PyMutex first, second;

void mutex(long n) {
    for (; n; --n) {
        PyMutex_Lock(&first);
        PyMutex_Unlock(&first);
    }
}
#endif

#if PY_VERSION_HEX >= 0x030e0000
void section_mutex(long n) {
    for (; n; --n) {
        Py_BEGIN_CRITICAL_SECTION_MUTEX(&first);
        Py_END_CRITICAL_SECTION();
    }
}

void section_mutex2(long n) {
    for (; n; --n) {
        Py_BEGIN_CRITICAL_SECTION2_MUTEX(&first, &second);
        Py_END_CRITICAL_SECTION2();
    }
}
#endif

peer plain() {
    peer it = peer_of_guards<attached, detached, call>("C API");
    it.drop_attached = drop_attached;
    it.drop = drop;
#if PY_VERSION_HEX >= 0x030d0000
    it.section = section;
    it.section2 = section2;
    it.mutex = mutex;
#endif
#if PY_VERSION_HEX >= 0x030e0000
    it.section_mutex = section_mutex;
    it.section_mutex2 = section_mutex2;
#endif
    return it;
}

PyThreadState *kept;

void keep() { kept = PyThreadState_New(PyInterpreterState_Main()); }

void attach_kept(long n) {
    for (; n; --n) {
        PyEval_RestoreThread(kept);
        PyEval_SaveThread();
    }
}

void call_kept(object *function, long n) {
    for (; n; --n) {
        PyEval_RestoreThread(kept);
        call(function);
        PyEval_SaveThread();
    }
}

void give_up() {
    PyEval_RestoreThread(kept);
    PyThreadState_Clear(kept);
    PyThreadState_DeleteCurrent();
    kept = nullptr;
}

peer floor() {
    peer it = {"kept state"};
    it.prepare = keep;
    it.finish = give_up;
    it.attach = attach_kept;
    it.call = call_kept;
    return it;
}

} // namespace

const peer c_api = plain(), kept_state = floor();

} // namespace bench
