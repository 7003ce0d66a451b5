// CPython's functions as guards: routed in a file that includes the header that routes first.
#pragma once

#include <Python.h>

#include "guards.hpp"
#include "python.hpp"

namespace bench {
namespace {

class attached {
  public:
    attached() = default;
    ~attached() { PyGILState_Release(before_); }
    attached(const attached &) = delete;
    attached &operator=(const attached &) = delete;

  private:
    PyGILState_STATE before_ = PyGILState_Ensure();
};

class detached {
  public:
    detached() = default;
    ~detached() { PyEval_RestoreThread(saved_); }
    detached(const detached &) = delete;
    detached &operator=(const detached &) = delete;

  private:
    PyThreadState *saved_ = PyEval_SaveThread();
};

} // namespace
} // namespace bench
