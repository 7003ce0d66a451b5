// CPython as a program uses it without this library: loaded, and called by name.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

#include "tests_config.hpp"

struct _object;

namespace plain {

using object = struct ::_object;

// PYATTACH_TEST_PYTHON and PYATTACH_TEST_LIBPYTHON, else what Meson found.
inline const char *path_of(const char *variable, const char *otherwise) {
    const char *value = std::getenv(variable);
    return value && *value ? value : otherwise;
}
inline const char *python_executable() { return path_of("PYATTACH_TEST_PYTHON", TESTS_PYTHON); }
inline const char *libpython() { return path_of("PYATTACH_TEST_LIBPYTHON", TESTS_LIBPYTHON); }

inline void *address_of(const char *name, bool required = true) {
    static void *const handle = dlopen(libpython(), RTLD_NOW | RTLD_GLOBAL);
    void *address = handle ? dlsym(handle, name) : nullptr;
    if (!address && required) {
        std::fprintf(stderr, "%s: %s\n", name, dlerror());
        std::exit(70);
    }
    return address;
}
template <class Function> Function *cpython(const char *name) { return reinterpret_cast<Function *>(address_of(name)); }

// The functions that tests call often, looked up once.
struct plain_python {
    int (*is_initialized)() = cpython<int()>("Py_IsInitialized");
    int (*is_finalizing)() = reinterpret_cast<int (*)()>(address_of("Py_IsFinalizing", false)
                                                             ? address_of("Py_IsFinalizing")
                                                             : address_of("_Py_IsFinalizing"));
    int (*ensure)() = cpython<int()>("PyGILState_Ensure");
    void (*release)(int) = cpython<void(int)>("PyGILState_Release");
    void *(*save)() = cpython<void *()>("PyEval_SaveThread");
    void (*restore)(void *) = cpython<void(void *)>("PyEval_RestoreThread");
    int (*finalize)() = cpython<int()>("Py_FinalizeEx");
    int (*run)(const char *, void *) = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    object *(*add_module)(const char *) = cpython<object *(const char *)>("PyImport_AddModule");
    object *(*get)(object *, const char *) = cpython<object *(object *, const char *)>("PyObject_GetAttrString");
    int (*set)(object *, const char *,
               object *) = cpython<int(object *, const char *, object *)>("PyObject_SetAttrString");
    object *(*call)(object *, object *) = cpython<object *(object *, object *)>("PyObject_CallObject");
    object *(*capsule)(void *, const char *, void (*)(object *)) =
        cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New");
    object *(*function)(void *, object *,
                        object *) = cpython<object *(void *, object *, object *)>("PyCFunction_NewEx");
    void (*incref)(object *) = cpython<void(object *)>("Py_IncRef");
    void (*decref)(object *) = cpython<void(object *)>("Py_DecRef");
    object *none = static_cast<object *>(address_of("_Py_NoneStruct"));
};
inline const plain_python &python() {
    static const plain_python all;
    return all;
}

// Initializes Python as a host does; the caller is attached afterwards.
inline void start() {
    auto *decode = cpython<wchar_t *(const char *, std::size_t *)>("Py_DecodeLocale");
    cpython<void(const wchar_t *)>("Py_SetProgramName")(decode(python_executable(), nullptr));
    cpython<void(int)>("Py_InitializeEx")(0);
}

} // namespace plain
