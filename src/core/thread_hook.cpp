// Thread hook: tells a tool of the native threads that begin to use Python, and of their end; and gives these threads
// their names in Python.
#include "core/thread_hook.hpp"

#include "base/internal_lock.hpp"
#include "core/housekeeping.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/threading.hpp"

namespace pyattach::thread_hook {
namespace {

struct hook_and_arg {
    pyattach_thread_hook call;
    void *arg;
};

// The lock keeps the function and its argument together.
internal_lock hook_lock;
hook_and_arg current_hook;
std::atomic<bool> is_set{false}, has_names{false};

hook_and_arg hook_now() noexcept {
    hook_lock.lock();
    const hook_and_arg now = current_hook;
    hook_lock.unlock();
    return now;
}

// Gives the calling thread, in Python, the name that the system has for it.
void name_thread() noexcept {
    char name[32];
    name_of(own_native_id(), name);
    if (name[0])
        cpython::name_current_thread(name);
}

void call_attached(const hook_and_arg &hook, interpreter &interp) noexcept {
    no_stop_scope in_foreign_code;
    cpython::kept_error kept;
    cpython::guarded([&hook, &interp] {
        hook.call(PYATTACH_THREAD_ATTACHED, reinterpret_cast<pyattach_interpreter *>(&interp), hook.arg);
        if (cpython::python().error_occurred())
            cpython::python().error_unraisable(nullptr);
    });
}

} // namespace

void set(pyattach_thread_hook hook, void *arg) noexcept {
    hook_lock.lock();
    current_hook = {hook, arg};
    hook_lock.unlock();
    is_set.store(hook != nullptr, std::memory_order_relaxed);
}

void set_names(bool are_wanted) noexcept { has_names.store(are_wanted, std::memory_order_relaxed); }

bool is_due_for_new_tstate() noexcept {
    return (is_set.load(std::memory_order_relaxed) || has_names.load(std::memory_order_relaxed)) &&
           !housekeeping::is_housekeeper();
}

void on_attached(thread &me, participant &self) noexcept {
    self.is_hook_due = false;
    if (has_names.load(std::memory_order_relaxed))
        name_thread();
    const hook_and_arg hook = hook_now();
    if (!hook.call)
        return;
    me.has_called_hook = true;
    call_attached(hook, *self.interp);
}

void on_ended() noexcept {
    const hook_and_arg hook = hook_now();
    if (hook.call)
        cpython::guarded([&hook] { hook.call(PYATTACH_THREAD_ENDED, nullptr, hook.arg); });
}

void hold() noexcept { hook_lock.hold(); }
void release_hold() noexcept { hook_lock.release_hold(); }
void restart() noexcept {
    if (!hook_lock.restart())
        return;
    current_hook = {}; // the argument may belong to another function
    is_set.store(false, std::memory_order_relaxed);
}

} // namespace pyattach::thread_hook
