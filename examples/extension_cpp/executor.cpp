// The Python module `executor`: calls Python functions on native threads, and hands out futures.
//
//     import executor
//     future = executor.submit(pow, 2, 10)      # a concurrent.futures.Future
//     print(future.result())
//
// Python.h is included, but libpython is not linked: an unmodified python3 brings it along.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <pyattach/pyattach.hpp>

#include "thread_pool.hpp"

namespace {

using pyattach::owned;
using pyattach::python_error;
using pyattach::token;

// Inside a handler: raises in Python what it caught.
void raise_in_python(token py) {
    try {
        throw;
    } catch (const python_error &raised) {
        raised.restore(py);
    } catch (const std::exception &failed) {
        PyErr_SetString(PyExc_RuntimeError, failed.what());
    }
}

// One call that is to be made. It is made on a thread of the pool and destroyed on whatever thread has it last,
// attached or not: its references find their way back by themselves.
class call final : public job {
  public:
    call(owned function, owned arguments, owned keywords, owned future)
        : function_(std::move(function)), arguments_(std::move(arguments)), keywords_(std::move(keywords)),
          future_(std::move(future)) {}

    void run() override {
        pyattach::attached here{std::nothrow, future_.interpreter()};
        if (!here)
            return; // the interpreter is ending: the result is not waited for
        const token py = here.token();
        try {
            if (py.to<bool>(py.call_method(future_, "set_running_or_notify_cancel")))
                resolve(py);
        } catch (const std::exception &) { // from the future itself, and there is no caller to raise it in
            raise_in_python(py);
            PyErr_WriteUnraisable(future_.get());
        }
    }

  private:
    void resolve(token py) {
        std::optional<python_error> raised;
        owned result;
        try {
            result = py.from_owned_ptr(PyObject_Call(function_.get(), arguments_.get(), keywords_.get()));
        } catch (const python_error &error) {
            raised = error;
        }
        if (raised)
            py.call_method(future_, "set_exception", raised->get());
        else
            py.call_method(future_, "set_result", result);
    }

    owned function_, arguments_, keywords_, future_;
};

// The pool has two owners: the module, and the callback that ends the threads with the interpreter.
using shared_pool = std::shared_ptr<thread_pool>;

struct state {
    shared_pool *pool; // in memory that Python zeroes, so there is no constructor to rely on
};

state &state_of(PyObject *module) { return *static_cast<state *>(PyModule_GetState(module)); }

// In a child of fork() it is leaked.
void forget(shared_pool *pool) {
    if (pool && !(*pool)->is_forked())
        delete pool;
}

// The interpreter begins to end. Attaching is refused by now, so a thread that has not begun a call drops it; one in
// the midst of a call finishes it, because this thread, which waits here, is detached.
void at_exit(pyattach_interpreter *, void *argument) {
    const auto pool = static_cast<shared_pool *>(argument);
    if (!(*pool)->is_forked())
        (*pool)->close();
    forget(pool);
}

// Calls `function(token)`; what it throws is raised in Python.
template <class Function> PyObject *raising(Function &&function) {
    const token py = token::assume();
    try {
        return function(py);
    } catch (const std::exception &) {
        raise_in_python(py);
    }
    return nullptr;
}

constexpr char submit_doc[] =
    "submit(function, /, *args, **kwargs)\n--\n\n"
    "Has a native thread call function(*args, **kwargs). Returns a concurrent.futures.Future.";

PyObject *submit(PyObject *module, PyObject *arguments, PyObject *keywords) {
    return raising([=](token py) -> PyObject * {
        if (PyTuple_GET_SIZE(arguments) == 0 || !PyCallable_Check(PyTuple_GET_ITEM(arguments, 0)))
            return PyErr_Format(PyExc_TypeError, "submit() takes a function first");
        owned function = owned::borrow(py, PyTuple_GET_ITEM(arguments, 0));
        owned rest = py.from_owned_ptr(PyTuple_GetSlice(arguments, 1, PyTuple_GET_SIZE(arguments)));
        owned future = py.call_method(py.import("concurrent.futures"), "Future");
        owned answer = future.copy(py);
        std::unique_ptr<job> next = std::make_unique<call>(std::move(function), std::move(rest),
                                                           owned::borrow(py, keywords), std::move(future));
        if (!(*state_of(module).pool)->submit(next))
            return PyErr_Format(PyExc_RuntimeError,
                                "the threads have ended: the interpreter does, or a fork() left them behind");
        return answer.release();
    });
}

int prepare(PyObject *module) {
    PyObject *done = raising([module](token py) -> PyObject * {
        auto pool = std::make_unique<shared_pool>(
            std::make_shared<thread_pool>(std::max(2U, std::thread::hardware_concurrency())));
        auto for_exit = std::make_unique<shared_pool>(*pool);
        const pyattach_status status = pyattach_exit_callback_add(py.interpreter(), at_exit, for_exit.get());
        if (status != PYATTACH_OK)
            return PyErr_Format(PyExc_ImportError, "executor cannot run here: %s", pyattach_status_message(status));
        for_exit.release();
        state_of(module).pool = pool.release();
        return module;
    });
    return done ? 0 : -1;
}

void clean_up(void *module) {
    if (const auto it = static_cast<state *>(PyModule_GetState(static_cast<PyObject *>(module))))
        forget(it->pool);
}

PyMethodDef functions[] = {{"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(submit)),
                            METH_VARARGS | METH_KEYWORDS, submit_doc},
                           {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void *>(prepare)},
#ifdef Py_mod_multiple_interpreters
                            {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
                            {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
                            {0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "executor",
                          "Calls Python functions on native threads.",
                          sizeof(state),
                          functions,
                          slots,
                          nullptr,
                          nullptr,
                          clean_up};

} // namespace

PyMODINIT_FUNC PyInit_executor() { return PyModuleDef_Init(&definition); }
