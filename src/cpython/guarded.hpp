// Calls of CPython that may attach or run Python code, each inside `guarded`.
#pragma once

#include <cxxabi.h>

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Never returns. The calling thread is not attached, and holds no internal lock. Releases its PEP 788 guards first.
[[noreturn]] void park() noexcept;

// Every call that may attach or run Python code is made inside this function (invariant 10). Up to 3.13.7 CPython ends
// a thread that it refuses with pthread_exit, which unwinds the frames of this library and of its caller. Below a
// noexcept frame that terminates the process, without even running a destructor that would park the thread. A catch
// clause in the innermost frame works everywhere.
//
// So whatever `call` calls must let the unwinding through, up to this frame. A function of this library that calls
// CPython below `guarded` is not noexcept. No object whose destructor calls CPython lives there, because the destructor
// would run on a thread without a tstate. A kept_error stands around the call of `guarded`, which the unwinding never
// reaches. tools/unwinding.py (a part of tools/lint) checks these rules. `before_parking` runs on the thread without a
// tstate.
//
// GCC binds the caught reference to NULL, because a forced unwind has no exception object, and GCC's sanitizer reports
// that. The null check comes with the alignment check, so both are off, in this frame alone.
template <class Call, class Cleanup> __attribute__((always_inline, no_sanitize("null", "alignment"))) inline auto
guarded(Call &&call, Cleanup &&before_parking) noexcept -> decltype(call()) {
    static_assert(noexcept(before_parking()), "there is no thread state left to call CPython with");
#ifdef __GLIBCXX__
    try {
        return call();
    } catch (abi::__forced_unwind &) {
        before_parking();
        park();
    }
#else
    return call();
#endif
}
template <class Call> __attribute__((always_inline)) inline auto guarded(Call &&call) noexcept -> decltype(call()) {
    return guarded(call, []() noexcept {});
}

// Attaches the thread with `tstate`. Fast paths pass the table that they have read already.
inline void restore(const table &py, thread_state *tstate) noexcept {
    guarded([&py, tstate] { py.restore(tstate); });
}
inline void restore(thread_state *tstate) noexcept { restore(python(), tstate); }
// The same on a thread that is attached with `replaced`, if that is not NULL.
inline void restore_over(thread_state *replaced, thread_state *tstate) noexcept {
    if (replaced)
        guarded([tstate] { python().tstate_swap(tstate); });
    else
        restore(tstate);
}
// Detaches the thread, and returns the tstate that it was attached with.
inline thread_state *save(const table &py) noexcept {
    return guarded([&py] { return py.save(); });
}
inline thread_state *save() noexcept { return save(python()); }
// Gives one reference back; NULL is allowed. The last reference runs destructors.
inline void decref(object *obj) noexcept {
    guarded([obj] { python().decref(obj); });
}
// False: CPython's queue of pending calls is full.
inline bool add_pending_call(int (*call)(void *), void *argument) noexcept {
    return guarded([=] { return python().add_pending_call(call, argument) == 0; });
}

} // namespace pyattach::cpython
