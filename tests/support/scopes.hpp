// Scopes that end themselves, so that a failed check leaves no thread attached. Tests of the order of ends use the C
// functions.
#pragma once

#include "pyattach/pyattach.h"
#include "support/expect.hpp"
#include "support/python.hpp"

namespace support {

class attached {
  public:
    attached() {
        pyattach_status status = pyattach_attached_begin(&scope_);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    explicit attached(pyattach_interpreter *where) {
        pyattach_status status = pyattach_attached_begin_in(&scope_, where);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    attached(const attached &) = delete;
    attached &operator=(const attached &) = delete;
    ~attached() { end(); }
    void end() {
        if (open_)
            pyattach_attached_end(&scope_);
        open_ = false;
    }

  private:
    pyattach_attached scope_;
    bool open_ = true;
};

class detached {
  public:
    detached() {
        pyattach_status status = pyattach_detached_begin(&scope_);
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    detached(const detached &) = delete;
    detached &operator=(const detached &) = delete;
    ~detached() { end(); }
    pyattach_status end() {
        if (!open_)
            return PYATTACH_INVALID;
        open_ = false;
        return pyattach_detached_end(&scope_);
    }

  private:
    pyattach_detached scope_;
    bool open_ = true;
};

class forbidden {
  public:
    forbidden() { pyattach_forbidden_begin(&scope_); }
    forbidden(const forbidden &) = delete;
    forbidden &operator=(const forbidden &) = delete;
    ~forbidden() { pyattach_forbidden_end(&scope_); }

  private:
    pyattach_forbidden scope_;
};

// What Py_BEGIN_ALLOW_THREADS in somebody else's code does: lets go of the interpreter without telling the library.
class foreign_detach {
  public:
    foreign_detach() : state_(cpython<void *()>("PyEval_SaveThread")()) {}
    foreign_detach(const foreign_detach &) = delete;
    foreign_detach &operator=(const foreign_detach &) = delete;
    ~foreign_detach() { cpython<void(void *)>("PyEval_RestoreThread")(state_); }

  private:
    void *state_;
};

// What other libraries do to attach a thread.
class foreign_attach {
  public:
    foreign_attach() : before_(cpython<int()>("PyGILState_Ensure")()) {}
    foreign_attach(const foreign_attach &) = delete;
    foreign_attach &operator=(const foreign_attach &) = delete;
    ~foreign_attach() { cpython<void(int)>("PyGILState_Release")(before_); }

  private:
    int before_;
};

} // namespace support
