// errno, as the caller had it, after work that changes it: a destructor that a drain runs, a wait, the dynamic linker.
//
// Code that detached around a system call looks at errno after it attached again, as it may over
// Py_BEGIN_ALLOW_THREADS. So every function of the C ABI keeps errno. The fast paths call only what keeps it by itself;
// whatever else they lead to has one of these.
#pragma once

#include <cerrno>

namespace pyattach {

class kept_errno {
  public:
    kept_errno() noexcept : value_(errno) {}
    ~kept_errno() { errno = value_; }
    kept_errno(const kept_errno &) = delete;
    kept_errno &operator=(const kept_errno &) = delete;

  private:
    const int value_;
};

} // namespace pyattach
