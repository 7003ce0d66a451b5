// A reference pool as people write it, and as PyO3's is: a mutex, a vector, a counter of its own to know whether the
// thread is attached.
#include <Python.h>

#include <mutex>
#include <utility>
#include <vector>

#include "peers.hpp"

namespace bench {
namespace {

thread_local long attach_count;
std::mutex lock;
std::vector<PyObject *> pending;

// Whoever drops calls a function of another object, as in every peer.
__attribute__((noinline)) void give_back(PyObject *reference) {
    if (attach_count > 0) {
        Py_DECREF(reference);
        return;
    }
    std::lock_guard<std::mutex> held(lock);
    pending.push_back(reference);
}

void drop(object *const *references, long n) {
    for (long i = 0; i < n; ++i)
        give_back(reinterpret_cast<PyObject *>(references[i]));
}

void drain() {
    PyGILState_STATE before = PyGILState_Ensure();
    ++attach_count;
    std::vector<PyObject *> taken;
    {
        std::lock_guard<std::mutex> held(lock);
        taken = std::exchange(pending, {});
    }
    for (PyObject *reference : taken)
        Py_DECREF(reference);
    --attach_count;
    PyGILState_Release(before);
}

peer pool() {
    peer it = {"mutex pool"};
    it.drop = drop;
    it.drain = drain;
    return it;
}

} // namespace

const peer mutex_pool = pool();

} // namespace bench
