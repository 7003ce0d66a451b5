#include <Python.h>

#include <dlfcn.h>

#include <cstdlib>

#include "python.hpp"

namespace bench {
namespace {

PyObject *of(object *one) { return reinterpret_cast<PyObject *>(one); }

} // namespace

about_python describe_python() {
    about_python it;
    it.version = PY_VERSION;
#ifdef Py_GIL_DISABLED
    it.is_free_threaded = true;
#else
    it.is_free_threaded = false;
#endif
    it.kind = it.is_free_threaded ? "free-threaded" : "GIL";
    Dl_info found;
    if (dladdr(reinterpret_cast<void *>(&PyGILState_Ensure), &found) && found.dli_fname)
        it.where = found.dli_fname;
    return it;
}

attached_by_c_api::attached_by_c_api() : before_(PyGILState_Ensure()) {}
attached_by_c_api::~attached_by_c_api() { PyGILState_Release(static_cast<PyGILState_STATE>(before_)); }

detached_by_c_api::detached_by_c_api() : state_(PyEval_SaveThread()) {}
detached_by_c_api::~detached_by_c_api() { PyEval_RestoreThread(static_cast<PyThreadState *>(state_)); }

object *new_object() {
    return reinterpret_cast<object *>(PyObject_CallNoArgs(reinterpret_cast<PyObject *>(&PyBaseObject_Type)));
}

object *new_function() {
    PyObject *globals = PyDict_New();
    PyObject *function = PyRun_String("lambda: None", Py_eval_input, globals, globals);
    Py_XDECREF(globals);
    return reinterpret_cast<object *>(function);
}

void call(object *function) {
    PyObject *result = PyObject_CallNoArgs(of(function));
    if (!result)
        std::abort();
    Py_DECREF(result);
}

void add_references(object *one, long n) {
    for (; n; --n)
        Py_INCREF(of(one));
}

void give_back(object *one) { Py_DECREF(of(one)); }

bare_state *new_bare_state() {
    PyThreadState *state = PyThreadState_New(PyInterpreterState_Main());
    PyEval_RestoreThread(state);
    return reinterpret_cast<bare_state *>(PyEval_SaveThread());
}

void delete_bare_state(bare_state *one) {
    auto *state = reinterpret_cast<PyThreadState *>(one);
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
}

void churn() {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < 200000; ++i) {
        PyObject *one = PyObject_CallNoArgs(reinterpret_cast<PyObject *>(&PyDict_Type));
        if (!one || PyList_Append(list, one) != 0)
            break;
        Py_DECREF(one);
    }
    Py_XDECREF(list);
}

} // namespace bench
