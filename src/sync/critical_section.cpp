// Critical section: CPython's per-object lock of the free-threaded build.
#include "sync/critical_section.hpp"

#include <utility>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/frames.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach::critical_section {
namespace {

enum kind { object_lock, object_locks, mutex_lock, mutex_locks };

void lock(void *at, kind what, void *one, void *two) {
    const cpython::table &py = cpython::python();
    switch (what) {
    case object_lock:
        return py.section_begin(at, static_cast<object *>(one));
    case object_locks:
        return py.section2_begin(at, static_cast<object *>(one), static_cast<object *>(two));
    case mutex_lock:
        // 3.13 exports only the slow half, which links the section and takes the mutex whether or not it is contended.
        return py.section_begin_mutex ? py.section_begin_mutex(at, one) : py.section_begin_slow(at, one);
    case mutex_locks:
        if (py.section2_begin_mutex)
            return py.section2_begin_mutex(at, one, two);
        // In address order, as the fast half would have sorted them.
        if (two < one)
            std::swap(one, two);
        return py.section2_begin_slow(at, one, two, 0);
    }
}

// Of the two halves of begin and end the locking is apart, and so is whatever is not fast_record: what is left calls
// nobody. `lock` is called on free-threaded builds only, with the storage that CPython links.
[[gnu::noinline]] status take(section_scope &scope, kind what, void *one, void *two) noexcept {
    const kept_errno kept;
    cpython::guarded([&] { lock(scope.storage, what, one, two); });
    return PYATTACH_OK;
}

inline status link(section_scope &scope, thread &me, kind what, void *one, void *two) noexcept {
    scope.tag = tag::section;
    scope.is_locked = cpython::python().sections_lock;
    scope.is_pair = what == object_locks || what == mutex_locks;
    scope.owner = &me;
    scope.outer = static_cast<section_scope *>(me.innermost_section());
    scope.in = me.top;
    // From here on nothing of ours is drained on this thread: taking the lock may wait, detached by CPython itself.
    me.innermost_section() = &scope;
    return scope.is_locked ? take(scope, what, one, two) : PYATTACH_OK;
}

[[gnu::noinline]] status open_in_open(section_scope &scope, thread &me, kind what, void *one, void *two) noexcept {
    begun_twice("critical_section", &scope);
    return link(scope, me, what, one, two);
}

[[gnu::noinline]] status open_slow(section_scope &scope, kind what, void *one, void *two) noexcept {
    if (const thread *open = this_thread.record())
        if (open->base.innermost_section == &scope)
            begun_twice("critical_section", &scope);
    scope.tag = tag::refused;
    if (!one || !two)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    thread *me = own_record();
    return me ? link(scope, *me, what, one, two) : PYATTACH_NO_MEMORY;
}

// Of one lock `two` is the same.
inline status open(section_scope &scope, kind what, void *one, void *two) noexcept {
    if (__builtin_expect(!one || !two || !this_thread.is_fast() || !is_surely_attached(this_thread.fast_record()), 0))
        return open_slow(scope, what, one, two);
    thread &me = this_thread.fast_record();
    if (__builtin_expect(me.innermost_section() == &scope, 0))
        return open_in_open(scope, me, what, one, two);
    return link(scope, me, what, one, two);
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
    if (me->innermost_section() != &scope)
        misuse("pyattach_critical_section_end: a section inside this one is still open.",
               "Sections end innermost first.", "End the inner one first.");
    const bool is_attached = current_tstate() != nullptr;
    // Or its interpreter ended below it, and CPython's half of it with the thread state; or this is a fork child that
    // keeps its hands off Python.
    if (!is_attached && !is_stranded() && !(me->top == scope.in && is_inert(*scope.in)))
        misuse("pyattach_critical_section_end: the thread is not attached.", "A section ends on an attached thread.",
               "End it before detaching for good; end detached scopes inside it first.");
    scope.tag = tag::ended;
    if (scope.is_locked && is_attached)
        unlock_section(scope);
    me->innermost_section() = scope.outer;
    if (this_thread.has_dues())
        pay_dues();
}

} // namespace

status begin(section_scope &scope, object *obj) noexcept { return open(scope, object_lock, obj, obj); }

status begin(section_scope &scope, object *obj, object *two) noexcept { return open(scope, object_locks, obj, two); }

status begin(section_scope &scope, mutex_storage *mutex_) noexcept { return open(scope, mutex_lock, mutex_, mutex_); }

status begin(section_scope &scope, mutex_storage *mutex_, mutex_storage *other) noexcept {
    return open(scope, mutex_ == other ? mutex_lock : mutex_locks, mutex_, other);
}

void end(section_scope &scope) noexcept {
    if (!this_thread.is_fast())
        return end_slow(scope);
    thread &me = this_thread.fast_record();
    if (__builtin_expect(scope.tag != tag::section || scope.owner != &me || me.innermost_section() != &scope ||
                             !is_surely_attached(me),
                         0))
        return end_slow(scope);
    scope.tag = tag::ended;
    me.innermost_section() = scope.outer;
    if (scope.is_locked)
        unlock_section(scope);
}

} // namespace pyattach::critical_section
