// Attached: this thread may call Python.
#include "attached.hpp"

#include "entry.hpp"
#include "fatal.hpp"

namespace pyattach {

namespace attached {
namespace {

status refuse(attached_scope &scope, status why) noexcept {
    scope.tag = tag::refused;
    count(event::refused);
    return why;
}

status nest(attached_scope &scope, thread &me) noexcept {
    scope.nested = {tag::nested, &me, me.top};
    ++me.top->nested;
    me.counted.add(event::nested);
    return PYATTACH_OK;
}

uint32_t depth_of(const frame &top) noexcept {
    if (is_inert(top))
        return 0;
    return top.depth_below + top.nested + (top.tag == tag::attached);
}

// Only after the attach returned (invariant 2).
inline void open(frame &mine, thread &me, const entry::result &in, thread_state *replaced) noexcept {
    mine.temporary = in.temporary;
    mine.exempt = in.exempt;
    // The state may come with an exception: one of other code, or of a scope around this one, as in a destructor that
    // runs while an exception unwinds. It is not this scope's to report.
    bool is_ours_from_here = in.inside_below == presence::outside && in.state == in.seat->warm;
    mine.had_error = !is_ours_from_here && !in.is_new && cpython::python().error_occurred();
    mine.inside_below = in.inside_below;
    mine.depth_below = me.top->tag == tag::detached ? 0 : depth_of(*me.top);
    mine.state = in.state;
    mine.where = in.where;
    mine.seat = in.seat;
    mine.replaced = replaced;
    push(me, mine, tag::attached);
    me.counted.add(event::attaches);
}

// The warm path: this thread has a state of the main interpreter, is not inside it, and the gate is open. Anything else
// is for the slow path, unchanged. Written out, because every instruction here is paid for at each attach.
inline bool begin_warm(frame &mine, thread &me) noexcept {
    seat *home = me.home;
    if (!home || home->where != main_interpreter() || me.top != &me.base ||
        home->inside.load(std::memory_order_relaxed) != presence::outside)
        return false;
    interpreter &where = *home->where;
    thread_state *state = home->warm;
    if (!state || !where.gate.enter(*home))
        return false;
    cpython::restore(state);
    // Only after the attach returned (invariant 2).
    mine.tag = tag::attached;
    mine.dead = mine.temporary = mine.exempt = mine.had_error = false;
    mine.inside_below = presence::outside;
    mine.nested = 0;
    mine.depth_below = me.base.nested;
    mine.below = &me.base;
    mine.state = state;
    mine.where = &where;
    mine.seat = home;
    mine.replaced = nullptr;
    me.top = &mine;
    me.met = &where;
    me.met_state = where.state;
    me.counted.add(event::attaches);
    drain_if_quiet_allows(where);
    return true;
}

// From here on the thread is not attached to the interpreter wanted (`where`; NULL: the main one).
status attach(attached_scope &scope, thread &me, interpreter *named, thread_state *replaced, bool checked) noexcept {
    entry::result in = {};
    interpreter *where = named ? named : main_interpreter();
    status refused;
    if (!where && !checked) {
        cpython::interpreter_state *main = cpython::python().main_interpreter();
        where = main ? find_or_make(main) : nullptr;
        if (!where)
            return refuse(scope, main ? PYATTACH_NO_MEMORY : PYATTACH_NOT_INITIALIZED);
    }
    // Until its hook is registered an interpreter is met for the first time at every contact. Handles name only
    // interpreters met.
    bool is_known =
        where && (!checked || named || where->hook.load(std::memory_order_acquire) == interpreter::registered);
    refused = is_known ? entry::known(me, *where, replaced, checked, in) : entry::first(me, replaced, in);
    if (refused)
        return refuse(scope, refused);
    open(scope.outer, me, in, replaced);
    if (checked) {
        meet(me, in.state);
        drain_if_quiet_allows(*in.where);
    }
    return PYATTACH_OK;
}

enum class wanted { any, main, named };

status begin_slowly(attached_scope &scope, thread_state *now, wanted which, interpreter *named, bool checked) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, PYATTACH_FORBIDDEN);
    if (status missing = cpython::find())
        return refuse(scope, missing);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    if (now) {
        interpreter *here = checked ? meet(*me, now) : nullptr;
        bool is_there = which == wanted::any || (which == wanted::named && here == named);
        if (which == wanted::main)
            is_there = cpython::python().interpreter_of(now) == cpython::python().main_interpreter();
        if (is_there) {
            if (here)
                drain_if_quiet_allows(*here);
            return nest(scope, *me);
        }
    }
    return attach(scope, *me, named, now, checked);
}

[[noreturn]] void misused(const attached_scope &scope) noexcept {
    switch (scope.tag) {
    case tag::ended:
        misuse("pyattach_attached_end: this scope was ended already.", "A scope is ended once.",
               "Pair each successful begin with one end.");
    case tag::refused:
        misuse("pyattach_attached_end: this scope was refused when it began.", "Only a scope that began is ended.",
               "Look at the status of pyattach_attached_begin.");
    default:
        misuse("pyattach_attached_end: this is not an attached scope.", "A scope is its address and is never moved.",
               "Pass the very pyattach_attached that was begun.");
    }
}

void end_nested(nested_scope &scope) noexcept {
    thread *me = this_thread.record;
    if (scope.owner != me)
        misuse("pyattach_attached_end: the scope was begun on another thread.", "A scope ends on its own thread.",
               "End it where it was begun; give each thread its own scope.");
    frame *in = scope.in;
    if (in != me->top && !is_inert(*in))
        misuse("pyattach_attached_end: a scope inside this one is still open.",
               "A detached scope, or one that attached, ends before the scopes around it.",
               "End the innermost scope first.");
    --in->nested;
    scope.tag = tag::ended;
    drop_late_record(*me);
}

// Goes back to the interpreter this scope switched away from, if that still lets us in.
void go_back(thread &me, frame &ended) noexcept {
    frame &below = *me.top;
    if (below.tag == tag::attached && below.seat && !below.where->gate.come_back(*below.seat) && !below.exempt) {
        below.dead = true;
        return;
    }
    cpython::restore(ended.replaced);
}

void end_outer(frame &mine) noexcept {
    thread *me = this_thread.record;
    if (!me || me->top != &mine)
        misuse("pyattach_attached_end: the scope that attached is ended while another scope is open inside it, or on "
               "another thread.",
               "The scope that attached a thread ends last, on that thread.",
               "End the scopes inside it first; keep scopes in automatic storage.");
    if (is_inert(mine)) {
        pop(*me);
        if (mine.replaced && !mine.where->is_exempt())
            go_back(*me, mine);
        drop_late_record(*me);
        return;
    }
    if (mine.nested)
        misuse("pyattach_attached_end: the scope that attached is ended while attached scopes nested in it are open.",
               "The scope that attached a thread ends last.", "End the nested scopes first.");
    // Up to 3.11 this may be another thread's state, but then it is not ours: nobody else uses that.
    if (__builtin_expect(cpython::python().current() != mine.state, 0)) {
        if (mine.where->gate.now() < gate::sealed)
            misuse("pyattach_attached_end: the thread is not attached.",
                   "Code inside an attached scope that lets go of the interpreter takes it back before the scope ends.",
                   "Pair PyEval_SaveThread with PyEval_RestoreThread, and thread state swaps with their opposite.");
        // Left behind by an exit, this thread was refused in somebody's re-attach; its stack is being unwound.
        mine.dead = true;
        pop(*me);
        return;
    }
    if (cpython::python().error_occurred() && !mine.had_error)
        cpython::report_unraisable();
    // The frame stays until the state is destroyed: finalisers that attach meanwhile nest in it.
    if (__builtin_expect(!mine.temporary && !mine.replaced, 1))
        cpython::save();
    else
        entry::leave(mine.state, mine.temporary, mine.replaced);
    pop(*me);
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    mine.where->gate.leave(*mine.seat, mine.inside_below);
    if (__builtin_expect(mine.seat != me->home && !mine.replaced, 0))
        entry::come_home(*me);
    drop_late_record(*me);
}

} // namespace

status begin(attached_scope &scope) noexcept {
    thread_state *now = current_state();
    thread *me = this_thread.record;
    if (__builtin_expect(me && !this_thread.forbidden, 1)) {
        if (!now) {
            if (begin_warm(scope.outer, *me))
                return PYATTACH_OK;
        } else if (is_met(*me, cpython::python().interpreter_of(now))) {
            drain_if_quiet_allows(*me->met);
            return nest(scope, *me);
        }
    }
    return begin_slowly(scope, now, wanted::any, nullptr, true);
}

status begin_in(attached_scope &scope, interpreter &where) noexcept {
    if (where.gone.load(std::memory_order_acquire))
        return refuse(scope, this_thread.forbidden ? PYATTACH_FORBIDDEN : PYATTACH_FINALIZING);
    return begin_slowly(scope, current_state(), wanted::named, &where, true);
}

status begin_unchecked(attached_scope &scope) noexcept {
    return begin_slowly(scope, current_state(), wanted::any, nullptr, false);
}

status assume(attached_scope &scope) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, PYATTACH_FORBIDDEN);
#if PYATTACH_CHECKS
    if (!current_state())
        misuse("pyattach_attached_assume: no thread state of this thread is current.",
               "Who assumes an attached thread vouches that it is attached.",
               "Use pyattach_attached_begin where that is not certain.");
#endif
    thread *me = this_thread.record;
    // The interpreter met last is a guess nobody checks; a drain there would touch its objects, so it takes place only
    // after a question.
    if (me && me->met_state && __builtin_expect(me->met->pool.is_empty(), 1))
        return nest(scope, *me);
    return begin(scope);
}

void end(attached_scope &scope) noexcept {
    if (this_thread.forbidden)
        misuse("pyattach_attached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    if (scope.tag == tag::nested)
        end_nested(scope.nested);
    else if (scope.tag == tag::attached)
        end_outer(scope.outer);
    else
        misused(scope);
}

bool is_attached() noexcept { return !this_thread.forbidden && current_state(); }

int depth() noexcept {
    const thread *me = this_thread.record;
    return me ? static_cast<int>(depth_of(*me->top)) : 0;
}

interpreter *main() noexcept {
    interpreter *met = main_interpreter();
    if (met && met->hook.load(std::memory_order_acquire) == interpreter::registered)
        return met;
    attached_scope once;
    if (begin_slowly(once, current_state(), wanted::main, nullptr, true) != PYATTACH_OK)
        return nullptr;
    met = main_interpreter();
    end(once);
    return met;
}

interpreter *current() noexcept {
    thread_state *now = this_thread.forbidden ? nullptr : current_state();
    thread *me = now ? own_record() : nullptr;
    return me ? meet(*me, now) : nullptr;
}

} // namespace attached
} // namespace pyattach
