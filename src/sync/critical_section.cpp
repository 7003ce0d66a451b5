// Critical section: CPython's per-object lock of the free-threaded build.
#include "sync/critical_section.hpp"

#include <utility>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/frames.hpp"
#include "core/interpreter.hpp"
#include "core/trace.hpp"
#include "cpython/guarded.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach::critical_section {
namespace {

enum kind { object_lock, object_locks, mutex_lock, mutex_locks };

void lock(void *section, kind what, void *first, void *second) {
    const cpython::table &py = cpython::python();
    switch (what) {
    case object_lock:
        return py.section_begin(section, static_cast<object *>(first));
    case object_locks:
        return py.section2_begin(section, static_cast<object *>(first), static_cast<object *>(second));
    case mutex_lock:
        // 3.13 exports only the slow half. It links the section and locks the mutex, whether or not that is contended.
        return py.section_begin_mutex ? py.section_begin_mutex(section, first) : py.section_begin_slow(section, first);
    case mutex_locks:
        if (py.section2_begin_mutex)
            return py.section2_begin_mutex(section, first, second);
        // The slow half expects the mutexes in the order of their addresses, into which the fast half would sort them.
        if (second < first)
            std::swap(first, second);
        return py.section2_begin_slow(section, first, second, 0);
    }
}

// Locking and the slow paths are functions of their own, so that the fast path of begin and end contains no call. Only
// on free-threaded builds a section is locked; CPython links `storage` then.
[[gnu::noinline]] status lock_section(section_scope &scope, kind what, void *first, void *second) noexcept {
    const kept_errno kept;
    cpython::guarded([&] { lock(scope.storage, what, first, second); });
    return PYATTACH_OK;
}

inline void link(section_scope &scope, thread &me, bool is_locked, bool is_pair) noexcept {
    scope.tag = tag::section;
    scope.is_locked = is_locked;
    scope.is_pair = is_pair;
    scope.owner = &me;
    scope.outer = static_cast<section_scope *>(me.innermost_section);
    scope.top_at_begin = me.top;
    // From here on this thread drains nothing automatically. Taking the lock may wait, and CPython detaches the thread
    // for that without this library.
    me.innermost_section = &scope;
}

// `tstate`: the thread's current one.
inline status link(section_scope &scope, thread &me, const thread_state *tstate, kind what, void *first,
                   void *second) noexcept {
    const bool is_locked = cpython::python().sections_lock;
    link(scope, me, is_locked, what == object_locks || what == mutex_locks);
    if (is_locked)
        return lock_section(scope, what, first, second);
    scope.tstate = tstate;
    return PYATTACH_OK;
}

[[gnu::noinline]] status open_twice(section_scope &scope, thread &me, kind what, void *first, void *second) noexcept {
    report_storage_in_use("critical_section", &scope);
    return link(scope, me, cpython::peek(me.current_at), what, first, second);
}

// On the slow path, which a thread takes while a trace records: notes the wait for the lock, if there was one.
status link_and_note(section_scope &scope, thread &me, kind what, void *first, void *second) noexcept {
    const uint64_t began = trace::is_on() ? ticks() : 0;
    const status outcome = link(scope, me, cpython::peek(me.current_at), what, first, second);
    if (began && scope.is_locked)
        trace::note_lock_wait(began, trace::lock_kind::critical_section, first);
    return outcome;
}

[[gnu::noinline]] status open_slow(section_scope &scope, kind what, void *first, void *second) noexcept {
    this_thread.retag();
    if (const thread *record = this_thread.record())
        if (record->innermost_section == &scope)
            report_storage_in_use("critical_section", &scope);
    scope.tag = tag::refused;
    if (!first || !second)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    thread *me = own_record();
    return me ? link_and_note(scope, *me, what, first, second) : PYATTACH_NO_MEMORY;
}

// Up to 3.11 on a thread that other code attached. A section locks nothing there, so it does not matter what.
[[gnu::noinline]] status open_by_gilstate(section_scope &scope, thread &me) noexcept {
    thread_state *tstate = cpython::python().gilstate_tstate();
    if (__builtin_expect(!tstate || tstate != cpython::peek(me.current_at) || me.innermost_section == &scope, 0))
        return open_slow(scope, object_lock, &scope, &scope);
    link(scope, me, false, false);
    scope.tstate = tstate;
    return PYATTACH_OK;
}

// For one lock, `second` is the same as `first`. Always inline, since half of what it does depends on a constant.
__attribute__((always_inline)) inline status open(section_scope &scope, kind what, void *first, void *second) noexcept {
    thread *const fast = this_thread.fast_record();
    if (__builtin_expect(!first || !second || !fast, 0))
        return open_slow(scope, what, first, second);
    thread &me = *fast;
    const thread_state *tstate = cpython::peek(me.current_at);
    if (__builtin_expect(!tstate, 0))
        return open_slow(scope, what, first, second);
    if (__builtin_expect(!is_surely_own(me, tstate), 0))
        return open_by_gilstate(scope, me);
    if (__builtin_expect(me.innermost_section == &scope, 0))
        return open_twice(scope, me, what, first, second);
    return link(scope, me, tstate, what, first, second);
}

[[gnu::noinline]] void end_slow(section_scope &scope) noexcept {
    if (scope.tag != tag::section)
        misuse("pyattach_critical_section_end: this is not an open section.",
               "A section is ended once, at its own address.",
               "Look at the status of begin; pair each successful one with one end.");
    thread *me = this_thread.record();
    if (!me || scope.owner != me)
        misuse("pyattach_critical_section_end: the section was begun on another thread.",
               "A section ends on its own thread.", "End it where it was begun.");
    if (me->innermost_section != &scope)
        misuse("pyattach_critical_section_end: a section inside this one is still open.",
               "Sections end innermost first.", "End the inner one first.");
    const bool is_attached = current_tstate() != nullptr;
    // There are two more cases without misuse. The interpreter ended while the section was open, and CPython's half of
    // the section ended with the tstate. Or this is a fork child in which Python must not be used.
    if (!is_attached && !is_stranded() && !(me->top == scope.top_at_begin && is_inert(*scope.top_at_begin)))
        misuse("pyattach_critical_section_end: the thread is not attached.", "A section ends on an attached thread.",
               "End it before detaching for good; end detached scopes inside it first.");
    scope.tag = tag::ended;
    if (scope.is_locked && is_attached)
        unlock_section(scope);
    me->innermost_section = scope.outer;
    if (this_thread.has_deferred())
        run_deferred();
}

// Without a call: whether the thread is attached. A section that locks nothing began with a tstate that was this
// thread's, so if that one is current, up to 3.11 too, the thread is attached with it. False: it may be attached.
inline bool is_surely_attached_still(const section_scope &scope, const thread &me) noexcept {
    if (scope.is_locked)
        return is_surely_attached(me);
    const thread_state *tstate = cpython::peek(me.current_at);
    return tstate && tstate == scope.tstate;
}

} // namespace

status begin(section_scope &scope, object *obj) noexcept { return open(scope, object_lock, obj, obj); }

status begin(section_scope &scope, object *first, object *second) noexcept {
    return open(scope, object_locks, first, second);
}

status begin(section_scope &scope, mutex_storage *mutex) noexcept { return open(scope, mutex_lock, mutex, mutex); }

status begin(section_scope &scope, mutex_storage *first, mutex_storage *second) noexcept {
    return open(scope, first == second ? mutex_lock : mutex_locks, first, second);
}

void end(section_scope &scope) noexcept {
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return end_slow(scope);
    thread &me = *fast;
    if (__builtin_expect(scope.tag != tag::section || scope.owner != &me || me.innermost_section != &scope ||
                             !is_surely_attached_still(scope, me),
                         0))
        return end_slow(scope);
    scope.tag = tag::ended;
    me.innermost_section = scope.outer;
    if (scope.is_locked)
        unlock_section(scope);
}

} // namespace pyattach::critical_section
