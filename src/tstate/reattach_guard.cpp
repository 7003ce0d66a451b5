// Reattach guard: what keeps CPython from freeing a thread state under a thread that is just coming back to it.
#include "tstate/reattach_guard.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"

namespace pyattach {

struct reattach_guard {
    reattach_guard *next; // of its thread
    thread_state *tstate;
    uint64_t id; // the state's, as addresses come again
    interpreter *interp;
    thread_local_words *owner;
    futex::word is_reattaching{0};
    std::atomic<bool> cleared{false};
    std::atomic<uint32_t> refs{2};
};

namespace {

constexpr int64_t millisecond_ns = 1000000;
// A thread that CPython ends says so as soon as it is scheduled. One that hangs never does; then this is for one that
// was about to look into its state.
constexpr int64_t ended_limit_ns = 2000 * millisecond_ns, hung_limit_ns = 20 * millisecond_ns;

// One end of Python waits this long in all: whoever is in the window was in it when the flag went up.
std::atomic<const interpreter *> ending{nullptr};
std::atomic<int64_t> deadline_of_wait_ns{0};

int64_t limit_ns() noexcept {
#ifdef __GLIBC__ // elsewhere a thread ends without unwinding
    const cpython::table &py = cpython::python();
    // Free-threaded, one that waits for the world to start again is forgotten there.
    if (py.ends_refused_threads && !py.free_threaded)
        return ended_limit_ns;
#endif
    return hung_limit_ns;
}

void let_go(reattach_guard &guard) noexcept {
    if (guard.refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
        std::free(&guard);
}

// The capsule's destructor. Attached, and staying so: whoever waits for the GIL leaves only if nobody hands it on.
void on_cleared(void *value) noexcept {
    reattach_guard &guard = *static_cast<reattach_guard *>(value);
    guard.cleared.store(true, std::memory_order_seq_cst);
    // A thread that clears its own state is not coming back to it, nor is one that has ended. (If the owner's address
    // is this thread's by now, the owner has ended.)
    bool may_come = guard.owner != &this_thread && guard.refs.load(std::memory_order_acquire) == 2;
    if (may_come && guard.is_reattaching.load(std::memory_order_seq_cst)) {
        // Only one thread ends an interpreter.
        if (ending.exchange(guard.interp, std::memory_order_relaxed) != guard.interp)
            deadline_of_wait_ns.store(monotonic_ns() + limit_ns(), std::memory_order_relaxed);
        const int64_t until = deadline_of_wait_ns.load(std::memory_order_relaxed);
        // Looks again by itself, so that coming back needs no wake-up.
        while (guard.is_reattaching.load(std::memory_order_acquire) && monotonic_ns() < until)
            futex::wait(guard.is_reattaching, 1, millisecond_ns);
    }
    let_go(guard);
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
        let_go(*guard);
    }
}

// Inside without a scope: this library is destroying a state of its own. The gate waits for the thread, and what is put
// into the dict of a state that CPython has begun to clear stays when the state is gone.
bool is_destroying(const thread &me, const interpreter &interp) noexcept {
    const participant *self = me.participants;
    while (self && self->interp != &interp)
        self = self->next_of_thread;
    return self && self->presence_now.load(std::memory_order_relaxed) == presence::attached &&
           !pyattach::is_in_use(me, *self);
}

[[gnu::noinline]] reattach_guard *make(thread &me, interpreter &interp, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    // Once the flag is up only the thread that ends Python is attached, which CPython always lets in.
    bool is_ending = !py.is_initialized() || interp.finalizing_thread.load(std::memory_order_relaxed) == &this_thread;
    if (is_drain_disabled() || is_ending || is_destroying(me, interp))
        return nullptr;
    const uint64_t id = py.tstate_id(tstate);
    for (reattach_guard *guard = me.reattach_guards; guard; guard = guard->next) {
        if (guard->tstate != tstate)
            continue;
        if (guard->id == id && guard->interp == &interp)
            return nullptr; // being cleared by this thread, whose destructors run; what is put in the dict now stays
        // Put there by a destructor while CPython cleared a state that is gone by now, as its address is another one's.
        guard->cleared.store(true, std::memory_order_relaxed);
    }
    drop_cleared(me);
    void *memory = std::malloc(sizeof(reattach_guard));
    if (!memory)
        return nullptr;
    no_drain_scope no_drain; // a collection runs destructors, which may attach
    auto *made = new (memory) reattach_guard{nullptr, tstate, id, &interp, &this_thread};
    if (!cpython::keep_in_tstate(made, on_cleared)) {
        let_go(*made);
        return nullptr;
    }
    made->next = me.reattach_guards;
    return me.reattach_guards = made;
}

} // namespace

reattach_guard *find_reattach_guard(const thread &me, const thread_state *tstate) noexcept {
    // One that is not cleared is in the dict of a state that lives, so the address names that one. (Or of one that is
    // gone; make() finds that.)
    for (reattach_guard *guard = me.reattach_guards; guard; guard = guard->next)
        if (guard->tstate == tstate && !guard->cleared.load(std::memory_order_relaxed))
            return guard;
    return nullptr;
}

reattach_guard *make_reattach_guard(thread &me, interpreter &interp, thread_state *tstate) noexcept {
    if (!cpython::python().end_frees_tstates)
        return nullptr;
    reattach_guard *found = find_reattach_guard(me, tstate);
    if (__builtin_expect(found && found->id == cpython::python().tstate_id(tstate), 1))
        return found;
    return make(me, interp, tstate);
}

void reattach(reattach_guard &guard) noexcept {
    guard.is_reattaching.store(1, std::memory_order_seq_cst);
    // Else another thread has used the state meanwhile, and put a reattach_guard of its own in the place of this one.
    if (guard.cleared.load(std::memory_order_seq_cst) &&
        (cpython::python().is_finalizing() || guard.interp->is_cleared())) {
        // Only between CPython's clearing the state and its being done with the interpreter.
        guard.is_reattaching.store(0, std::memory_order_relaxed); // GCOVR_EXCL_LINE: no test can wait for that
        cpython::park();                                          // GCOVR_EXCL_LINE: as above
    }
    // Release: what the thread read of its state was read before CPython frees that.
    auto arrived = [&guard]() noexcept { guard.is_reattaching.store(0, std::memory_order_release); };
    cpython::guarded([&guard] { cpython::python().restore(guard.tstate); }, arrived);
    arrived();
}

void drop_reattach_guards(thread &me) noexcept {
    while (reattach_guard *guard = me.reattach_guards) {
        me.reattach_guards = guard->next;
        let_go(*guard);
    }
}

} // namespace pyattach
