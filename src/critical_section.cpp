// Critical section: CPython's per-object lock of the free-threaded build.
#include "critical_section.hpp"

#include <utility>

#include "attached.hpp"
#include "fatal.hpp"

namespace pyattach::critical_section {
namespace {

// Of the two halves of begin and end the locking is apart, and so is whatever is not usual: what is left calls nobody.
// `lock` is called on free-threaded builds only, with the table and the storage CPython links.
template <class Lock> [[gnu::noinline]] status take(section_scope &scope, Lock lock) noexcept {
    cpython::guarded([&] { lock(cpython::python(), scope.storage); });
    return PYATTACH_OK;
}

template <class Lock> status link(section_scope &scope, thread &me, bool is_pair, Lock lock) noexcept {
    scope.tag = tag::section;
    scope.is_locked = cpython::python().sections_lock;
    scope.is_pair = is_pair;
    scope.owner = &me;
    scope.outer = static_cast<section_scope *>(me.innermost_section());
    scope.in = me.top;
    // From here on nothing of ours is drained on this thread: taking the lock may wait, detached by CPython itself.
    me.innermost_section() = &scope;
    return scope.is_locked ? take(scope, lock) : PYATTACH_OK;
}

template <class Lock>
[[gnu::noinline]] status open_slowly(section_scope &scope, bool has_null, bool is_pair, Lock lock) noexcept {
    scope.tag = tag::refused;
    if (has_null)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    thread *me = own_record();
    return me ? link(scope, *me, is_pair, lock) : PYATTACH_NO_MEMORY;
}

template <class Lock> status open(section_scope &scope, bool has_null, bool is_pair, Lock lock) noexcept {
    thread *me = this_thread.record;
    if (__builtin_expect(has_null || !me || !this_thread.is_usual() || !is_surely_attached(*me), 0))
        return open_slowly(scope, has_null, is_pair, lock);
    return link(scope, *me, is_pair, lock);
}

[[gnu::noinline]] void give_back(section_scope &scope) noexcept {
    const cpython::table &py = cpython::python();
    cpython::guarded([&] { scope.is_pair ? py.section2_end(scope.storage) : py.section_end(scope.storage); });
}

[[gnu::noinline]] void end_slowly(section_scope &scope) noexcept {
    if (scope.tag != tag::section)
        misuse("pyattach_critical_section_end: this is not an open section.",
               "A section is ended once, at its own address.",
               "Look at the status of begin; pair each successful one with one end.");
    thread *me = this_thread.record;
    if (scope.owner != me)
        misuse("pyattach_critical_section_end: the section was begun on another thread.",
               "A section ends on its own thread.", "End it where it was begun.");
    if (me->innermost_section() != &scope)
        misuse("pyattach_critical_section_end: a section inside this one is still open.",
               "Sections end innermost first.", "End the inner one first.");
    const bool is_attached = current_state() != nullptr;
    // Or its interpreter ended below it, and CPython's half of it with the thread state.
    if (!is_attached && !(me->top == scope.in && is_inert(*scope.in)))
        misuse("pyattach_critical_section_end: the thread is not attached.", "A section ends on an attached thread.",
               "End it before detaching for good; end detached scopes inside it first.");
    scope.tag = tag::ended;
    if (scope.is_locked && is_attached)
        give_back(scope);
    me->innermost_section() = scope.outer;
    drop_late_record(*me);
}

} // namespace

status begin(section_scope &scope, object *one) noexcept {
    return open(scope, !one, false, [one](const cpython::table &py, void *at) { py.section_begin(at, one); });
}

status begin(section_scope &scope, object *one, object *two) noexcept {
    return open(scope, !one || !two, true,
                [one, two](const cpython::table &py, void *at) { py.section2_begin(at, one, two); });
}

status begin(section_scope &scope, mutex_storage *one) noexcept {
    return open(scope, !one, false, [one](const cpython::table &py, void *at) {
        // 3.13 exports only the slow half, which links the section and takes the mutex whether or not it is contended.
        py.section_begin_mutex ? py.section_begin_mutex(at, one) : py.section_begin_slow(at, one);
    });
}

status begin(section_scope &scope, mutex_storage *one, mutex_storage *two) noexcept {
    if (one == two)
        return begin(scope, one);
    return open(scope, !one || !two, true, [one, two](const cpython::table &py, void *at) {
        if (py.section2_begin_mutex)
            return py.section2_begin_mutex(at, one, two);
        // In address order, as the fast half would have sorted them.
        mutex_storage *low = one, *high = two;
        if (high < low)
            std::swap(low, high);
        py.section2_begin_slow(at, low, high, 0);
    });
}

void end(section_scope &scope) noexcept {
    thread *me = this_thread.record;
    if (__builtin_expect(!me || !this_thread.is_usual() || scope.tag != tag::section || scope.owner != me ||
                             me->innermost_section() != &scope || !is_surely_attached(*me),
                         0))
        return end_slowly(scope);
    scope.tag = tag::ended;
    me->innermost_section() = scope.outer;
    if (scope.is_locked)
        give_back(scope);
}

} // namespace pyattach::critical_section
