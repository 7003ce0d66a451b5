// Restores errno after work that changes it: a destructor that a drain runs, a wait, a call of the dynamic linker.
//
// Other code that has detached around a system call reads errno after it has attached again, as it may with
// Py_BEGIN_ALLOW_THREADS. So every function of the C ABI keeps errno. The fast paths call only functions that keep it
// by themselves. Each slow path to which they lead has a kept_errno.
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
