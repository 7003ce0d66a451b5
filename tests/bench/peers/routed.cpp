// The plain C API, routed to this library: the same calls as in c_api.cpp, compiled with the header that routes.
#include "pyattach/route_gilstate.h"

#include <Python.h>

#include "peers.hpp"
#include "python.hpp"

namespace bench {
namespace {

void attach(long n) {
    for (; n; --n) {
        PyGILState_STATE before = PyGILState_Ensure();
        PyGILState_Release(before);
    }
}

void call_attached(object *function, long n) {
    for (; n; --n) {
        PyGILState_STATE before = PyGILState_Ensure();
        call(function);
        PyGILState_Release(before);
    }
}

void detach(long n) {
    for (; n; --n) {
        Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS
    }
}

peer routed() {
    peer it = {"C API, routed"};
    it.nested = it.attach = attach;
    it.detach = detach;
    it.call = call_attached;
    return it;
}

} // namespace

const peer c_api_routed = routed();

} // namespace bench
