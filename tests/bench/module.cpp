// The same rows in an extension module: the python3 that loads it may hold CPython itself, without a libpython.
//
//   python3 -c 'import sys, pyattach_bench; sys.exit(pyattach_bench.run(sys.argv))' ...
#include <Python.h>

#include <string>
#include <vector>

#include "bench.hpp"

namespace {

PyObject *run(PyObject *, PyObject *list) {
    std::vector<std::string> words;
    for (Py_ssize_t i = 0, size = PySequence_Size(list); i < size; ++i) {
        PyObject *word = PySequence_GetItem(list, i);
        const char *text = word ? PyUnicode_AsUTF8(word) : nullptr;
        words.emplace_back(text ? text : "");
        Py_XDECREF(word);
    }
    if (PyErr_Occurred())
        return nullptr;
    std::vector<char *> arguments;
    for (std::string &word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int failed;
    Py_BEGIN_ALLOW_THREADS failed = bench::run(static_cast<int>(words.size()), arguments.data());
    Py_END_ALLOW_THREADS return PyLong_FromLong(failed);
}

PyMethodDef methods[] = {{"run", run, METH_O, "Runs the benchmarks with a list of arguments; returns the exit status."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "pyattach_bench", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};

} // namespace

PyMODINIT_FUNC PyInit_pyattach_bench() { return PyModuleDef_Init(&definition); }
