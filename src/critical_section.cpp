// Critical section: CPython's per-object lock of the free-threaded build.
#include "critical_section.hpp"

#include <utility>

#include "attached.hpp"
#include "fatal.hpp"

namespace pyattach::critical_section {
namespace {

// Everything but the locking itself. `lock` is called on free-threaded builds only, with the table and the storage
// CPython links.
template <class Lock> status open(section_scope &scope, bool has_null, bool is_pair, Lock &&lock) noexcept {
    scope.tag = tag::refused;
    if (has_null)
        return PYATTACH_INVALID;
    if (this_thread.forbidden)
        return PYATTACH_FORBIDDEN;
    if (!current_state())
        return PYATTACH_NOT_ATTACHED;
    thread *me = own_record();
    if (!me)
        return PYATTACH_NO_MEMORY;
    const cpython::table &py = cpython::python();
    scope.is_locked = py.sections_lock;
    scope.is_pair = is_pair;
    scope.owner = me;
    scope.outer = static_cast<section_scope *>(me->innermost_section());
    scope.in = me->top;
    // May wait, detached by CPython itself; quiet comes first so that nothing of ours is drained on the way.
    ++this_thread.quiet;
    if (scope.is_locked)
        cpython::guarded([&] { lock(py, scope.storage); });
    me->innermost_section() = &scope;
    scope.tag = tag::section;
    return PYATTACH_OK;
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
    const cpython::table &py = cpython::python();
    const bool is_attached = current_state() != nullptr;
    // Or its interpreter ended below it, and CPython's half of it with the thread state.
    if (!is_attached && !(me->top == scope.in && is_inert(*scope.in)))
        misuse("pyattach_critical_section_end: the thread is not attached.", "A section ends on an attached thread.",
               "End it before detaching for good; end detached scopes inside it first.");
    scope.tag = tag::ended;
    me->innermost_section() = scope.outer;
    if (scope.is_locked && is_attached)
        cpython::guarded([&] { scope.is_pair ? py.section2_end(scope.storage) : py.section_end(scope.storage); });
    --this_thread.quiet;
    drop_late_record(*me);
}

} // namespace pyattach::critical_section
