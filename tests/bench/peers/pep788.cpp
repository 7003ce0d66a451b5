// PEP 788, in CPython from 3.15: attaching through a view of an interpreter that may end, and through a guard that
// keeps it from ending.
#include <Python.h>

#include <cstdlib>

#include "peers.hpp"
#include "python.hpp"

namespace bench {
namespace {

PyInterpreterView *view;
PyInterpreterGuard *guard;

void prepare() {
    view = PyInterpreterView_FromMain();
    guard = view ? PyInterpreterGuard_FromView(view) : nullptr;
    if (!guard)
        std::abort();
}

// A guard left open would keep the interpreter from ending.
void finish() {
    PyInterpreterGuard_Close(guard);
    PyInterpreterView_Close(view);
}

void attach_from_view(long n) {
    for (; n; --n) {
        PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
        PyThreadState_Release(token);
    }
}

void attach_with_guard(long n) {
    for (; n; --n) {
        PyThreadStateToken *token = PyThreadState_Ensure(guard);
        PyThreadState_Release(token);
    }
}

void call_from_view(object *function, long n) {
    for (; n; --n) {
        PyThreadStateToken *token = PyThreadState_EnsureFromView(view);
        call(function);
        PyThreadState_Release(token);
    }
}

void call_with_guard(object *function, long n) {
    for (; n; --n) {
        PyThreadStateToken *token = PyThreadState_Ensure(guard);
        call(function);
        PyThreadState_Release(token);
    }
}

peer with(const char *name, void (*attach)(long), void (*call)(object *, long)) {
    peer it = {name};
    it.prepare = prepare;
    it.finish = finish;
    it.nested = it.attach = attach;
    it.call = call;
    return it;
}

} // namespace

const peer pep788_view = with("PEP 788 view", attach_from_view, call_from_view),
           pep788_guard = with("PEP 788 guard", attach_with_guard, call_with_guard);

} // namespace bench
