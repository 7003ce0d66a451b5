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
    explicit attached(pyattach_interpreter *interp) {
        pyattach_status status = pyattach_attached_begin_in(&scope_, interp);
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

// Opens and closes a scope; the status of the attempt.
inline pyattach_status try_to_attach() {
    pyattach_attached scope;
    pyattach_status status = pyattach_attached_begin(&scope);
    if (status == PYATTACH_OK)
        pyattach_attached_end(&scope);
    return status;
}
inline pyattach_status try_to_attach_in(pyattach_interpreter *interp) {
    pyattach_attached scope;
    pyattach_status status = pyattach_attached_begin_in(&scope, interp);
    if (status == PYATTACH_OK)
        pyattach_attached_end(&scope);
    return status;
}

// A critical section that ends itself.
class section {
  public:
    explicit section(object *first) : section(pyattach_critical_section_begin(&storage_, first)) {}
    section(object *first, object *second) : section(pyattach_critical_section_begin2(&storage_, first, second)) {}
    explicit section(pyattach_mutex *first) : section(pyattach_critical_section_begin_mutex(&storage_, first)) {}
    section(pyattach_mutex *first, pyattach_mutex *second)
        : section(pyattach_critical_section_begin_mutex2(&storage_, first, second)) {}
    section(const section &) = delete;
    section &operator=(const section &) = delete;
    ~section() { pyattach_critical_section_end(&storage_); }

  private:
    explicit section(pyattach_status status) {
        EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
    }
    pyattach_critical_section storage_;
};

// What Py_BEGIN_ALLOW_THREADS in other code does: detaches the thread without a call of the library.
class foreign_detach {
  public:
    foreign_detach() : tstate_(cpython<void *()>("PyEval_SaveThread")()) {}
    foreign_detach(const foreign_detach &) = delete;
    foreign_detach &operator=(const foreign_detach &) = delete;
    ~foreign_detach() { cpython<void(void *)>("PyEval_RestoreThread")(tstate_); }

  private:
    void *tstate_;
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
