// Reattach guard: what keeps CPython from freeing a thread state under a thread that is just coming back to it.
#include "reattach_guard.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include "futex.hpp"
#include "interpreter.hpp"

namespace pyattach {

struct reattach_guard {
    reattach_guard *next; // of its thread
    thread_state *state;
    uint64_t id; // the state's, as addresses come again
    interpreter *where;
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

void let_go(reattach_guard &one) noexcept {
    if (one.refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
        std::free(&one);
}

// The capsule's destructor. Attached, and staying so: whoever waits for the GIL leaves only if nobody hands it on.
void on_cleared(void *value) noexcept {
    reattach_guard &one = *static_cast<reattach_guard *>(value);
    one.cleared.store(true, std::memory_order_seq_cst);
    // A thread that clears its own state is not coming back to it, nor is one that has ended. (If the owner's address
    // is this thread's by now, the owner has ended.)
    bool may_come = one.owner != &this_thread && one.refs.load(std::memory_order_acquire) == 2;
    if (may_come && one.is_reattaching.load(std::memory_order_seq_cst)) {
        // Only one thread ends an interpreter.
        if (ending.exchange(one.where, std::memory_order_relaxed) != one.where)
            deadline_of_wait_ns.store(monotonic_ns() + limit_ns(), std::memory_order_relaxed);
        const int64_t until = deadline_of_wait_ns.load(std::memory_order_relaxed);
        // Looks again by itself, so that coming back needs no wake-up.
        while (one.is_reattaching.load(std::memory_order_acquire) && monotonic_ns() < until)
            futex::wait(one.is_reattaching, 1, millisecond_ns);
    }
    let_go(one);
}

bool is_in_use(const thread &me, const reattach_guard &wanted) noexcept {
    const open_frames scopes(me);
    for (const frame &scope : scopes)
        if (scope.tag == tag::detached && !scope.participant && scope.reattach_guard == &wanted)
            return true;
    return !scopes.are_all();
}

void drop_cleared(thread &me) noexcept {
    for (reattach_guard **link = &me.reattach_guards(); reattach_guard *one = *link;) {
        if (!one->cleared.load(std::memory_order_acquire) || is_in_use(me, *one)) {
            link = &one->next;
            continue;
        }
        *link = one->next;
        let_go(*one);
    }
}

// Inside without a scope: this library is destroying a state of its own. The gate waits for the thread, and what is put
// into the dict of a state that CPython has begun to clear stays when the state is gone.
bool is_destroying(const thread &me, const interpreter &where) noexcept {
    const participant *mine = me.participants;
    while (mine && mine->where != &where)
        mine = mine->next_of_thread;
    return mine && mine->inside.load(std::memory_order_relaxed) == presence::attached &&
           !pyattach::is_in_use(me, *mine);
}

[[gnu::noinline]] reattach_guard *make(thread &me, interpreter &where, thread_state *now) noexcept {
    const cpython::table &py = cpython::python();
    // Once the flag is up only the thread that ends Python is attached, which CPython always lets in.
    bool is_ending = !py.is_initialized() || where.finalizing_thread.load(std::memory_order_relaxed) == &this_thread;
    if (is_drain_disabled() || is_ending || is_destroying(me, where))
        return nullptr;
    const uint64_t id = py.tstate_id(now);
    for (reattach_guard *one = me.reattach_guards(); one; one = one->next) {
        if (one->state != now)
            continue;
        if (one->id == id && one->where == &where)
            return nullptr; // being cleared by this thread, whose destructors run; what is put in the dict now stays
        // Put there by a destructor while CPython cleared a state that is gone by now, as its address is another one's.
        one->cleared.store(true, std::memory_order_relaxed);
    }
    drop_cleared(me);
    void *memory = std::malloc(sizeof(reattach_guard));
    if (!memory)
        return nullptr;
    no_drain_scope so; // a collection runs destructors, which may attach
    auto *made = new (memory) reattach_guard{nullptr, now, id, &where, &this_thread};
    if (!cpython::keep_in_tstate(made, on_cleared)) {
        let_go(*made);
        return nullptr;
    }
    made->next = me.reattach_guards();
    return me.reattach_guards() = made;
}

} // namespace

reattach_guard *find_reattach_guard(const thread &me, const thread_state *state) noexcept {
    // One that is not cleared is in the dict of a state that lives, so the address names that one. (Or of one that is
    // gone; make() finds that.)
    for (reattach_guard *one = me.reattach_guards(); one; one = one->next)
        if (one->state == state && !one->cleared.load(std::memory_order_relaxed))
            return one;
    return nullptr;
}

reattach_guard *make_reattach_guard(thread &me, interpreter &where, thread_state *now) noexcept {
    if (!cpython::python().end_frees_tstates)
        return nullptr;
    reattach_guard *found = find_reattach_guard(me, now);
    if (__builtin_expect(found && found->id == cpython::python().tstate_id(now), 1))
        return found;
    return make(me, where, now);
}

void reattach(reattach_guard &mine) noexcept {
    mine.is_reattaching.store(1, std::memory_order_seq_cst);
    // Else another thread has used the state meanwhile, and put a reattach_guard of its own in the place of this one.
    if (mine.cleared.load(std::memory_order_seq_cst) &&
        (cpython::python().is_finalizing() || mine.where->is_cleared.load(std::memory_order_acquire))) {
        // Only between CPython's clearing the state and its being done with the interpreter.
        mine.is_reattaching.store(0, std::memory_order_relaxed); // GCOVR_EXCL_LINE: no test can wait for that
        cpython::park();                                         // GCOVR_EXCL_LINE: as above
    }
    // Release: what the thread read of its state was read before CPython frees that.
    auto arrived = [&mine]() noexcept { mine.is_reattaching.store(0, std::memory_order_release); };
    cpython::guarded([&mine] { cpython::python().restore(mine.state); }, arrived);
    arrived();
}

void drop_reattach_guards(thread &me) noexcept {
    while (reattach_guard *one = me.reattach_guards()) {
        me.reattach_guards() = one->next;
        let_go(*one);
    }
}

} // namespace pyattach
