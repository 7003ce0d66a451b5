// How a storm without this library's scopes attaches, detaches and looks: the guards of one peer, as its users write
// them.
//
// STORM_PYBIND11, STORM_NANOBIND or STORM_CYTHON chooses the peer, else it is the C API. Each may be routed, by how the
// program is linked. The C API has to be told so (STORM_ROUTED), because its functions are looked up by name otherwise,
// which routes nothing.
#pragma once

#if defined(STORM_PYBIND11) || defined(STORM_NANOBIND) || defined(STORM_CYTHON)
#define STORM_PEER 1
#include <Python.h>
#elif defined(STORM_ROUTED)
extern "C" {
int PyGILState_Ensure();
void PyGILState_Release(int);
void *PyEval_SaveThread();
void PyEval_RestoreThread(void *);
int Py_IsFinalizing();
}
#endif

#ifdef STORM_PYBIND11
#include <pybind11/pybind11.h>
#elif defined(STORM_NANOBIND)
#include <nanobind/nanobind.h>
#elif defined(STORM_CYTHON)
// In storm_cython.pyx.
extern "C" {
void storm_with_gil(void (*function)(void *), void *argument);
void storm_without_gil(void (*function)(void *), void *argument);
PyObject *PyInit_storm_cython();
}
#endif

#include "support/plain_python.hpp"

namespace storm::guards {

// --- What the main thread calls, and the look before each attach ---

#if defined(STORM_PEER) || defined(STORM_ROUTED)
inline void ensure() { PyGILState_Ensure(); }
inline void save() { PyEval_SaveThread(); }
inline bool is_finalizing() {
#if defined(STORM_PEER) && PY_VERSION_HEX < 0x030d0000
    return _Py_IsFinalizing();
#else
    return Py_IsFinalizing();
#endif
}
#else
inline void ensure() { plain::python().ensure(); }
inline void save() { plain::python().save(); }
inline bool is_finalizing() { return plain::python().is_finalizing(); }
#endif

// Before Python starts; and afterwards, attached: what importing a module of the peer does.
inline void prepare() {
#ifdef STORM_CYTHON
    PyImport_AppendInittab("storm_cython", PyInit_storm_cython);
#endif
}
inline void import() {
#ifdef STORM_PYBIND11
    pybind11::detail::get_internals();
#elif defined(STORM_CYTHON)
    if (!PyImport_ImportModule("storm_cython"))
        std::exit(70);
#endif
}

// --- The guards ---

#ifdef STORM_PYBIND11
template <class Function> void attached(Function &&function) {
    pybind11::gil_scoped_acquire here;
    function();
}
template <class Function> void detached(Function &&function) {
    pybind11::gil_scoped_release gap;
    function();
}
#elif defined(STORM_NANOBIND)
template <class Function> void attached(Function &&function) {
    nanobind::gil_scoped_acquire here;
    function();
}
template <class Function> void detached(Function &&function) {
    nanobind::gil_scoped_release gap;
    function();
}
#elif defined(STORM_CYTHON)
template <class Function> void call(void *function) { (*static_cast<Function *>(function))(); }
template <class Function> void attached(Function &&function) {
    auto body = [&] { function(); };
    storm_with_gil(call<decltype(body)>, &body);
}
template <class Function> void detached(Function &&function) {
    auto body = [&] { function(); };
    storm_without_gil(call<decltype(body)>, &body);
}
#elif defined(STORM_ROUTED)
template <class Function> void attached(Function &&function) {
    int before = PyGILState_Ensure();
    function();
    PyGILState_Release(before);
}
template <class Function> void detached(Function &&function) {
    void *state = PyEval_SaveThread();
    function();
    PyEval_RestoreThread(state);
}
#else
template <class Function> void attached(Function &&function) {
    int before = plain::python().ensure();
    function();
    plain::python().release(before);
}
template <class Function> void detached(Function &&function) {
    void *state = plain::python().save();
    function();
    plain::python().restore(state);
}
#endif

} // namespace storm::guards
