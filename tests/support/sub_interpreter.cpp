// Sub-interpreters, made and ended through CPython.
#include "support/sub_interpreter.hpp"

#include <utility>

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {
namespace {

// PyInterpreterConfig of 3.12 and later.
struct config {
    int use_main_obmalloc, allow_fork, allow_exec, allow_threads, allow_daemon_threads, check_multi_interp_extensions;
    int gil; // 2: its own
};
// PyStatus
struct outcome {
    int kind;
    const char *function, *message;
    int exit_code;
};

void *swap(void *state) { return cpython<void *(void *)>("PyThreadState_Swap")(state); }
void *interpreter_of(void *state) { return cpython<void *(void *)>("PyThreadState_GetInterpreter")(state); }

} // namespace

sub_interpreter::sub_interpreter(kind wanted) {
    void *tstate = current_tstate();
    if (wanted == own_gil) {
        EXPECT(has_own_gils());
        const config isolated = {0, 0, 0, 1, 0, 1, 2};
        auto *make = cpython<outcome(void **, const config *)>("Py_NewInterpreterFromConfig");
        EXPECT(make(&first_, &isolated).kind == 0);
    } else {
        first_ = cpython<void *()>("Py_NewInterpreter")();
    }
    EXPECT(first_);
    interpreter_ = interpreter_of(first_);
    swap(tstate);
}

void sub_interpreter::inside(const std::function<void()> &function) {
    void *tstate = swap(first_);
    try {
        function();
    } catch (...) {
        swap(tstate);
        throw;
    }
    swap(tstate);
}

pyattach_interpreter *sub_interpreter::handle() {
    if (handle_)
        return handle_;
    if (sees_switches()) {
        inside([this] { handle_ = pyattach_interpreter_current(); });
    } else {
        // On a thread whose first state is one of that interpreter the library sees it.
        foreign_detach gap;
        run_on_thread([this] {
            void *state = cpython<void *(void *)>("PyThreadState_New")(interpreter_);
            cpython<void(void *)>("PyEval_RestoreThread")(state);
            handle_ = pyattach_interpreter_current();
            cpython<void(void *)>("PyThreadState_Clear")(state);
            cpython<void()>("PyThreadState_DeleteCurrent")();
        });
    }
    EXPECT(handle_);
    return handle_;
}

void sub_interpreter::end_first_state() {
    void *tstate = swap(first_);
    cpython<void(void *)>("PyThreadState_Clear")(std::exchange(first_, nullptr));
    cpython<void()>("PyThreadState_DeleteCurrent")();
    swap(tstate);
}

void sub_interpreter::end() {
    if (!interpreter_)
        return;
    void *its_tstate = first_ ? first_ : cpython<void *(void *)>("PyThreadState_New")(interpreter_);
    first_ = interpreter_ = nullptr;
    void *tstate = swap(its_tstate);
    cpython<void(void *)>("Py_EndInterpreter")(its_tstate);
    swap(tstate);
}

} // namespace support
