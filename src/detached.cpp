// Detached: others may run Python meanwhile.
#include "detached.hpp"

#include "fatal.hpp"
#include "fork.hpp"
#include "interpreter.hpp"

namespace pyattach::detached {
namespace {

status refuse(detached_scope &scope, status why) noexcept {
    scope.tag = tag::refused;
    return why;
}

[[noreturn]] void misused(const detached_scope &scope) noexcept {
    switch (scope.tag) {
    case tag::ended:
        misuse("pyattach_detached_end: this scope was ended already.", "A scope is ended once.",
               "Pair each successful begin with one end.");
    case tag::refused:
        misuse("pyattach_detached_end: this scope was refused when it began.", "Only a scope that began is ended.",
               "Look at the status of pyattach_detached_begin.");
    default:
        misuse("pyattach_detached_end: this is not a detached scope.", "A scope is its address and is never moved.",
               "Pass the very pyattach_detached that was begun.");
    }
}

} // namespace

status begin(detached_scope &scope) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, PYATTACH_FORBIDDEN);
    thread_state *now = current_state();
    if (!now)
        return refuse(scope, PYATTACH_NOT_ATTACHED);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    frame &gap = scope.gap;
    gap.where = meet(*me, now);
    gap.state = now;
    gap.depth_below = 0;
    // The gate binds threads that we attached; for others a detached scope is what Py_BEGIN_ALLOW_THREADS is.
    const frame &below = *me->top;
    gap.seat = below.tag == tag::attached && below.where == gap.where && !below.dead ? below.seat : nullptr;
    // Whoever is attached after CPython raised its flag is the thread that ends it.
    gap.exempt = !gap.where && cpython::python().is_finalizing();
    cpython::save();
    push(*me, gap, tag::detached);
    me->counted.add(event::detaches);
    if (gap.seat)
        gap.where->gate.leave(*gap.seat, presence::detached);
    return PYATTACH_OK;
}

status end(detached_scope &scope) noexcept {
    if (scope.tag != tag::detached)
        misused(scope);
    if (this_thread.forbidden)
        misuse("pyattach_detached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    frame &gap = scope.gap;
    thread *me = this_thread.record;
    if (!me || me->top != &gap || gap.nested)
        misuse("pyattach_detached_end: another scope is still open inside this one, or it was begun on another thread.",
               "Detached scopes end innermost first, on their own thread.", "End the attached scopes inside it first.");
    interpreter *where = gap.where;
    if (__builtin_expect(is_raw_fork.load(std::memory_order_relaxed), 0) && gap.seat) {
        pop(*me);
        me->top->dead = true;
        return PYATTACH_UNSUPPORTED;
    }
    if (gap.seat && !where->gate.come_back(*gap.seat) && !where->is_exempt()) {
        pop(*me);
        // What attached to the ended interpreter is inert from here on; scopes further out belong to gaps of their own.
        me->top->dead = true;
        return PYATTACH_FINALIZING;
    }
    if (!gap.seat && !gap.exempt) {
        // The state is gone with its interpreter. Before that CPython decides: it lets the thread in, or ends it (up
        // to 3.13.7, by unwinding through everybody's frames, which restore() below turns into parking) or hangs it.
        bool is_gone = where ? where->gone.load(std::memory_order_acquire) : cpython::python().is_finalizing() != 0;
        if (is_gone)
            cpython::park();
    }
    cpython::restore(gap.state);
    // Only now: until the call returned the thread was not attached (invariant 2).
    if (gap.seat)
        gap.seat->inside.store(presence::attached, std::memory_order_relaxed);
    pop(*me);
    if (where)
        drain_if_quiet_allows(*where);
    drop_late_record(*me);
    return PYATTACH_OK;
}

} // namespace pyattach::detached
