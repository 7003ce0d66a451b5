// Exit callbacks: functions of native code that are called when an interpreter begins to end.
//
// While a callback is being called, the call is in a list of its own. So a thread that removes the callback can wait
// for the call to return, and may then free what its argument points to. The registry's lock guards that list and the
// callbacks. No callback is called under it (invariant 9).
#include "lifecycle/exit_callback.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/fork.hpp"
#include "platform/futex.hpp"

namespace pyattach {
namespace {

// A call that is under way, on the stack of the calling thread.
struct running_callback {
    const interpreter *of;
    pyattach_exit_callback call;
    void *arg;
    const thread_local_words *by;
    running_callback *next;
};
running_callback *all_running; // under the registry's lock

// Counts the calls that have returned. It is not in the interp_data, because a thread that waits for a call has no
// reference to them.
futex::word returned_calls{0};

exit_callback *take_first_locked(interpreter &interp) noexcept {
    exit_callback *first = interp.data->callbacks;
    if (first)
        interp.data->callbacks = first->next;
    return first;
}

void take_from_running_locked(const running_callback &returned) noexcept {
    running_callback **link = &all_running;
    while (*link && *link != &returned) // in a fork child it is not in the list
        link = &(*link)->next;
    if (*link)
        *link = returned.next;
}

bool is_running_elsewhere_locked(const interpreter &interp, pyattach_exit_callback call, const void *arg) noexcept {
    for (const running_callback *running = all_running; running; running = running->next)
        if (running->of == &interp && running->call == call && running->arg == arg && running->by != &this_thread)
            return true;
    return false;
}

exit_callback *take_locked(interpreter &interp, pyattach_exit_callback call, const void *arg) noexcept {
    if (interp.is_cleared())
        return nullptr;
    exit_callback **link = &interp.data->callbacks;
    while (*link && ((*link)->call != call || (*link)->arg != arg))
        link = &(*link)->next;
    exit_callback *found = *link;
    if (found)
        *link = found->next;
    return found;
}

// Waits detached, because the callback may have to attach before it can return.
void wait_until_returned(const interpreter &interp, pyattach_exit_callback call, const void *arg) noexcept {
    thread_state *tstate = this_thread.forbidden ? nullptr : current_tstate();
    if (tstate)
        cpython::save();
    for (;;) {
        lock_registry();
        const bool is_running = is_running_elsewhere_locked(interp, call, arg);
        // Read under the lock: a call that returns later changes it.
        const uint32_t seen = returned_calls.load(std::memory_order_relaxed);
        unlock_registry();
        if (!is_running)
            break;
        futex::wait(returned_calls, seen);
    }
    if (tstate)
        cpython::restore(tstate);
}

} // namespace

void run_exit_callbacks(interpreter &interp) noexcept {
    for (;;) {
        lock_registry();
        exit_callback *first = take_first_locked(interp);
        // The callback changes lists in one step. Otherwise a thread that removes it in between would find it in
        // neither list.
        running_callback running = {};
        if (first)
            all_running = &(running = {&interp, first->call, first->arg, &this_thread, all_running});
        unlock_registry();
        if (!first)
            return;
        auto end_call = [&running]() noexcept {
            lock_registry();
            take_from_running_locked(running);
            returned_calls.fetch_add(1, std::memory_order_relaxed);
            unlock_registry();
            futex::wake(returned_calls, futex::everyone);
        };
        // The callback is the user's. It may call Python without this library, and CPython may end the thread there.
        cpython::guarded(
            [&interp, first] { first->call(reinterpret_cast<pyattach_interpreter *>(&interp), first->arg); }, end_call);
        std::free(first);
        end_call();
    }
}

void forget_running_exit_callbacks_locked(bool is_lost) noexcept {
    if (is_lost)
        all_running = nullptr;
    for (running_callback **link = &all_running; *link;) {
        if ((*link)->by == &this_thread)
            link = &(*link)->next;
        else
            *link = (*link)->next;
    }
}

void forget_exit_callbacks_of_parent_locked(interp_data &data) noexcept {
    exit_callback **link = &data.callbacks;
    while (exit_callback *callback = *link) {
        if (callback->in_fork_child) {
            link = &callback->next;
            continue;
        }
        *link = callback->next;
        std::free(callback);
    }
}

status add_exit_callback(interpreter *interp, pyattach_exit_callback call, void *arg,
                         const pyattach_exit_callback_options *options) noexcept {
    if (!interp || !call)
        return PYATTACH_INVALID;
    pyattach_exit_callback_options wanted = {};
    if (options) {
        static refusal_site unsized;
        if (options->struct_size == 0)
            return refused(PYATTACH_INVALID, unsized,
                           "pyattach_exit_callback_add_with: struct_size of the options is zero. It says which members "
                           "the caller knows of. Set it to sizeof(pyattach_exit_callback_options).");
        std::memcpy(&wanted, options, std::min(options->struct_size, sizeof wanted));
    }
    auto *added = static_cast<exit_callback *>(std::malloc(sizeof(exit_callback)));
    if (!added)
        return PYATTACH_NO_MEMORY;
    *added = {call, arg, wanted.in_fork_child != 0, nullptr};
    lock_registry();
    // The finalizing thread changes the gate's word before it takes callbacks out under this lock. So either it takes
    // this one, too, or this thread reads that the gate is not open.
    bool is_open = interp->gate.now() == gate::open;
    if (is_open) {
        added->next = interp->data->callbacks;
        interp->data->callbacks = added;
    }
    unlock_registry();
    if (!is_open)
        std::free(added);
    return is_open ? PYATTACH_OK : PYATTACH_FINALIZING;
}

status remove_exit_callback(interpreter *interp, pyattach_exit_callback call, void *arg) noexcept {
    if (!interp || !call)
        return PYATTACH_INVALID;
    lock_registry();
    exit_callback *found = take_locked(*interp, call, arg);
    const bool must_wait = !found && is_running_elsewhere_locked(*interp, call, arg);
    const bool is_open = interp->gate.now() == gate::open;
    unlock_registry();
    std::free(found);
    if (found)
        return PYATTACH_OK;
    if (must_wait)
        wait_until_returned(*interp, call, arg);
    // No message if the interpreter ends, because it has called the callback, or in a fork child, which does not have
    // its parent's callbacks: both are to be expected.
    static refusal_site unknown;
    const bool is_child = fork_generation.load(std::memory_order_relaxed) != 0;
    return is_open && !is_child
               ? refused(PYATTACH_INVALID, unknown,
                         "pyattach_exit_callback_remove: this callback is not registered with this argument. What "
                         "was added is taken back once. Pass what pyattach_exit_callback_add was given.")
               : PYATTACH_INVALID;
}

} // namespace pyattach
