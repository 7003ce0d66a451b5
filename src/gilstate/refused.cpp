// Refused: what becomes of a thread that is refused because Python ends.
#include "gilstate/refused.hpp"

#include <cstdlib>

#include "base/diagnostics.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"
#include "gilstate/misrouted.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::gilstate {
namespace {

struct handler_and_arg {
    pyattach_refused_handler call;
    void *arg;
    handler_and_arg *before;
};

std::atomic<int> policy{PYATTACH_REFUSED_PARK};
// A handler that is replaced stays allocated, because a thread may be reading it.
std::atomic<handler_and_arg *> current_handler{nullptr};

bool is_end_of_python(status why) noexcept {
    // In a stranded fork child the library is UNSUPPORTED.
    return why == PYATTACH_FINALIZING ||
           (why == PYATTACH_NOT_INITIALIZED && has_main_ended.load(std::memory_order_acquire)) ||
           (why == PYATTACH_UNSUPPORTED && cpython::is_found());
}

} // namespace

void set_refused(pyattach_refused wanted) noexcept { policy.store(wanted, std::memory_order_relaxed); }

void set_refused_handler(pyattach_refused_handler handler, void *arg) noexcept {
    auto *made = static_cast<handler_and_arg *>(std::malloc(sizeof(handler_and_arg)));
    if (!made)
        return;
    *made = {handler, arg, current_handler.load(std::memory_order_relaxed)};
    while (!current_handler.compare_exchange_weak(made->before, made, std::memory_order_acq_rel)) {
    }
}

void refuse_thread(status why, bool is_outermost, const void *caller) {
    static refusal_site at_end;
    if (!is_end_of_python(why))
        no_python(caller, why);
    refused(why, at_end,
            "A thread of routed code was not attached, because Python ends or has ended. PyGILState_Ensure and "
            "PyEval_RestoreThread cannot report that to their caller. The thread stays where it is, or ends, as "
            "pyattach_gilstate_set_refused says; end such threads before Python where that matters.");
    if (const handler_and_arg *handler = current_handler.load(std::memory_order_acquire); handler && handler->call)
        handler->call(why, handler->arg);
    if (is_outermost && policy.load(std::memory_order_relaxed) == PYATTACH_REFUSED_END_THREAD)
        end_own_thread();
    cpython::park();
}

} // namespace pyattach::gilstate
