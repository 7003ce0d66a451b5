// Reattach guard: keeps CPython from freeing a tstate while a thread is re-attaching to it.
#include "tstate/reattach_guard.hpp"

#include <cstdlib>
#include <new>

#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/clock.hpp"
#include "platform/fence.hpp"

namespace pyattach {

namespace {

constexpr int64_t millisecond_ns = 1000000;
// How long the destructor waits. A thread that CPython ends resets `is_reattaching` as soon as it is scheduled. A
// thread that CPython hangs never does; there the limit is for a thread that was about to read its tstate.
constexpr int64_t ended_limit_ns = 2000 * millisecond_ns, hung_limit_ns = 20 * millisecond_ns;

// All destructors of one end of Python share one deadline, because a thread that is in the window was in it when the
// flag was set.
std::atomic<const interpreter *> ending{nullptr};
std::atomic<int64_t> deadline_of_wait_ns{0};

int64_t limit_ns() noexcept {
#ifdef __GLIBC__ // elsewhere a thread that CPython ends is not unwound
    const cpython::table &py = cpython::python();
    // Free-threaded, CPython never wakes a thread that waits until the stopped threads may run again.
    if (py.ends_refused_threads && !py.free_threaded)
        return ended_limit_ns;
#endif
    return hung_limit_ns;
}

void release(reattach_guard &guard) noexcept {
    if (guard.refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
        std::free(&guard);
}

// The capsule's destructor. The thread stays attached: a thread that waits for the GIL leaves only while no other
// thread passes the GIL on.
void on_cleared(void *value) noexcept {
    reattach_guard &guard = *static_cast<reattach_guard *>(value);
    guard.cleared.store(true, std::memory_order_release);
    // A thread that clears its own tstate is not re-attaching to it, and neither is one that has ended. (If this
    // thread's words have the address that the owner's had, the owner has ended, too.)
    const bool may_reattach = guard.owner != &this_thread && guard.refs.load(std::memory_order_acquire) == 2;
    if (may_reattach)
        heavy_fence();
    if (may_reattach && guard.is_reattaching.load(std::memory_order_acquire)) {
        // Only one thread ends an interpreter.
        if (ending.exchange(guard.interp, std::memory_order_relaxed) != guard.interp)
            deadline_of_wait_ns.store(monotonic_ns() + limit_ns(), std::memory_order_relaxed);
        const int64_t until = deadline_of_wait_ns.load(std::memory_order_relaxed);
        // Reads the word every millisecond, so that the re-attaching thread need not wake this one.
        while (guard.is_reattaching.load(std::memory_order_acquire) && monotonic_ns() < until)
            futex::wait(guard.is_reattaching, 1, millisecond_ns);
    }
    release(guard);
}

bool is_in_use(const thread &me, const reattach_guard &wanted) noexcept {
    const open_frames scopes(me);
    for (const frame &scope : scopes)
        if (scope.tag == tag::detached && !scope.participant && scope.reattach_guard == &wanted)
            return true;
    return !scopes.are_all();
}

void drop_cleared(thread &me) noexcept {
    for (reattach_guard **link = &me.reattach_guards; reattach_guard *guard = *link;) {
        if (!guard->cleared.load(std::memory_order_acquire) || is_in_use(me, *guard)) {
            link = &guard->next;
            continue;
        }
        *link = guard->next;
        release(*guard);
    }
}

// Whether the thread is inside the gate without a scope: then this library is destroying a tstate of its own. No guard
// is needed, because the gate waits for the thread. And what is stored in the dict of a tstate that CPython has begun
// to clear remains after the tstate is freed.
bool is_destroying(const thread &me, const interpreter &interp) noexcept {
    const participant *self = find_participant(&me, interp);
    return self && self->presence_now.load(std::memory_order_relaxed) == presence::attached &&
           !pyattach::is_in_use(me, *self);
}

[[gnu::noinline]] reattach_guard *make(thread &me, interpreter &interp, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    // Once the flag is set, only the finalizing thread is attached, and CPython always admits that one.
    bool is_ending = !py.is_initialized() || interp.finalizing_thread.load(std::memory_order_relaxed) == &this_thread;
    if (is_drain_disabled() || is_ending || is_destroying(me, interp))
        return nullptr;
    const uint64_t id = py.tstate_id(tstate);
    for (reattach_guard *guard = me.reattach_guards; guard; guard = guard->next) {
        if (guard->tstate != tstate)
            continue;
        if (guard->id == id && guard->interp == &interp)
            return nullptr; // this thread is clearing the tstate, so what is stored in its dict now remains
        // A destructor stored this guard while CPython cleared its tstate. That tstate has been freed, because another
        // one has its address.
        guard->cleared.store(true, std::memory_order_relaxed);
    }
    drop_cleared(me);
    void *memory = std::malloc(sizeof(reattach_guard));
    if (!memory)
        return nullptr;
    no_drain_scope no_drain; // a collection runs destructors, which may attach
    auto *made = new (memory) reattach_guard{nullptr, tstate, id, &interp, &this_thread};
    if (!cpython::keep_in_tstate(made, on_cleared)) {
        release(*made);
        return nullptr;
    }
    made->next = me.reattach_guards;
    return me.reattach_guards = made;
}

} // namespace

reattach_guard *find_reattach_guard(const thread &me, const thread_state *tstate) noexcept {
    // A guard that is not cleared is in the dict of an existing tstate, so the address identifies that tstate. (If the
    // tstate has been freed all the same, make() detects that.)
    for (reattach_guard *guard = me.reattach_guards; guard; guard = guard->next)
        if (guard->tstate == tstate && !guard->cleared.load(std::memory_order_relaxed))
            return guard;
    return nullptr;
}

reattach_guard *make_reattach_guard(thread &me, interpreter &interp, thread_state *tstate) noexcept {
    if (!cpython::python().end_frees_tstates)
        return nullptr;
    reattach_guard *found = find_reattach_guard(me, tstate);
    if (__builtin_expect(found && found->id == cpython::python().tstate_id(tstate) && found->interp == &interp, 1))
        return found;
    return make(me, interp, tstate);
}

void park_if_ending(reattach_guard &guard) noexcept {
    // If Python does not end, the guard is cleared because another thread has used the tstate meanwhile and stored a
    // guard of its own in place of this one.
    if (!cpython::python().is_finalizing() && !guard.interp->is_cleared())
        return;
    // Only after CPython has cleared the tstate and before it has finished with the interpreter.
    guard.is_reattaching.store(0, std::memory_order_relaxed); // GCOVR_EXCL_LINE: no test can wait for that
    cpython::park();                                          // GCOVR_EXCL_LINE: as above
}

void drop_reattach_guards(thread &me) noexcept {
    while (reattach_guard *guard = me.reattach_guards) {
        me.reattach_guards = guard->next;
        release(*guard);
    }
}

} // namespace pyattach
