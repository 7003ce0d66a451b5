// A thread that makes any call of the library at any time: the calls of gilstate.h, and PyGILState_Ensure of code that
// is not routed. The model is CPython's: handles of nested ensures are all the same, and each may be released whenever
// the thread is attached.
#include "fuzz/machine.hpp"

#include "pyattach/gilstate.h"
#include "pyattach/hold.h"
#include "support/python.hpp"

namespace fuzz {

namespace {

// As CPython wants it: free-threaded it is still in a list of CPython's otherwise.
void delete_cleared() {
    support::cpython<void(void *)>("PyThreadState_Clear")(support::current_tstate());
    pyattach_gilstate_delete_current();
}

constexpr int locked = 0, unlocked = 1;
constexpr int most_ensures = 6;

} // namespace

void machine::ensure() {
    // Without Python, and where a forbidden thread would have to attach, an ensure does not return.
    if (!world_.is_up || (is_forbidden() && !is_attached()))
        return;
    const bool attaches = !is_attached();
    if (!attaches && ensures_ == most_ensures)
        return;
    note(attaches ? "gilstate_ensure" : "gilstate_ensure, nested");
    const int handle = attaching(is_quiet(), [] { return pyattach_gilstate_ensure(); });
    EXPECT(handle == (attaches ? unlocked : locked));
    if (!attaches) {
        ++ensures_;
        return;
    }
    ++counted_.attaches;
    opened(std::make_unique<item>(), kind::ensured);
}

void machine::release_nested() {
    if (!world_.is_up) {
        note("gilstate_release after the end");
        pyattach_gilstate_release(from_.below(2) ? locked : unlocked);
        return;
    }
    // Other code may have attached with a thread state of its own, which has not counted the ensures of before.
    int elsewhere = 0;
    for (const auto &one : open_)
        if (one->what == kind::foreign)
            elsewhere = one->ensures_before;
    if (!is_attached() || ensures_ <= elsewhere)
        return;
    note("gilstate_release, nested");
    --ensures_;
    pyattach_gilstate_release(locked);
}

void machine::save() {
    if (!is_attached() || is_forbidden())
        return;
    note("gilstate_save");
    void *const tstate = support::current_tstate();
    // The save of what a restore attached is its end, unless an exception was raised in between.
    if (open_.back()->what == kind::acquired && (!raised_ || open_.back()->had_error))
        return end(open_.size() - 1);
    auto mine = std::make_unique<item>();
    mine->tstate = tstate;
    if (from_.below(2)) {
        EXPECT(pyattach_gilstate_save() == tstate);
    } else {
        pyattach_gilstate_release_thread(tstate);
    }
    ++counted_.detaches;
    opened(std::move(mine), kind::saved);
}

void machine::restore() {
    if (is_attached() || is_forbidden() || !world_.is_up)
        return;
    if (!open_.empty() && open_.back()->what == kind::saved)
        return end(open_.size() - 1);
    note("gilstate_restore of the thread's own state");
    void *const tstate = attaching(is_quiet(), [] { return pyattach_gilstate_this_tstate(); });
    ++counted_.perhaps_attaches;
    if (!tstate)
        return;
    const bool may_end = from_.below(2) != 0;
    attaching(is_quiet(), [=] {
        may_end ? pyattach_gilstate_acquire_thread(tstate) : pyattach_gilstate_restore(tstate);
        return 0;
    });
    EXPECT(support::current_tstate() == tstate);
    ++counted_.attaches;
    opened(std::make_unique<item>(), kind::acquired);
}

void machine::own_tstate() {
    note("gilstate_this_tstate");
    void *const tstate = attaching(is_quiet(), [] { return pyattach_gilstate_this_tstate(); });
    ++counted_.perhaps_attaches;
    ++counted_.perhaps_refused;
    if (!world_.is_up)
        EXPECT(!tstate);
    if (is_attached())
        EXPECT(tstate == support::current_tstate());
    note("gilstate_is_finalizing");
    EXPECT((pyattach_gilstate_is_finalizing() != 0) == !world_.is_up);
    if (from_.below(8) == 0) {
        pyattach_gilstate_register();
        pyattach_gilstate_set_refused(from_.below(2) ? PYATTACH_REFUSED_PARK : PYATTACH_REFUSED_END_THREAD);
    }
}

// A thread state beside the one that the thread has. From 3.12 on CPython forgets that one meanwhile, so inside a gap
// another one would be made.
void machine::two_tstates() {
    if (is_attached() || is_forbidden() || !world_.is_up || (!open_.empty() && support::python_version() >= 0x030c0000))
        return;
    // Debug builds refuse one beside the tstate that PyGILState has of this thread (_PyThreadState_Swap).
    if (support::is_debug_build() && support::cpython<void *()>("PyGILState_GetThisThreadState")())
        return;
    note("gilstate_new_tstate");
    void *const made = pyattach_gilstate_new_tstate(support::cpython<void *()>("PyInterpreterState_Main")());
    EXPECT(made && !support::cpython_says_attached());
    pyattach_gilstate_acquire_thread(made);
    for (unsigned i = from_.below(3); i > 0; --i) {
        EXPECT(support::current_tstate() == made);
        const int handle = pyattach_gilstate_ensure();
        EXPECT(handle == locked);
        if (from_.below(2)) {
            EXPECT(pyattach_gilstate_save() == made);
            EXPECT(!support::cpython_says_attached());
            pyattach_gilstate_restore(made);
        }
        pyattach_gilstate_release(handle);
    }
    delete_cleared();
}

void machine::begin_foreign() {
    if (is_attached() || is_forbidden() || !world_.is_up)
        return;
    // See docs/limits.md: the thread may have been here before Python was started again.
    if (support::python_version() >= 0x030f0000 && counted_.attaches == 0)
        return;
    note("PyGILState_Ensure, not routed");
    EXPECT(support::cpython<int()>("PyGILState_Ensure")() == unlocked);
    opened(std::make_unique<item>(), kind::foreign);
}

// The thread state is deleted together with the scope that attached with it.
bool machine::end_by_deletion() {
    if (open_.size() != 1 || ensures_ || is_forbidden() ||
        (open_[0]->what != kind::ensured && open_[0]->what != kind::acquired))
        return false;
    note("gilstate_delete_current");
    raised_ = false; // PyThreadState_Clear drops the exception
    delete_cleared();
    open_.clear();
    return true;
}

void machine::end_routed(item &mine) {
    switch (mine.what) {
    case kind::ensured:
        note("gilstate_release");
        pyattach_gilstate_release(unlocked);
        if (raised_ && !mine.had_error) {
            raised_ = false;
            ++counted_.unraisable;
        }
        break;
    case kind::acquired: {
        note("gilstate_save of what was restored");
        if (raised_ && !mine.had_error) {
            pyattach_error_clear();
            raised_ = false;
        }
        void *const tstate = support::current_tstate();
        EXPECT(pyattach_gilstate_save() == tstate);
        break;
    }
    case kind::saved:
        note("gilstate_restore");
        attaching(is_quiet(), [&] {
            from_.below(2) ? pyattach_gilstate_restore(mine.tstate) : pyattach_gilstate_acquire_thread(mine.tstate);
            return 0;
        });
        break;
    default:
        note("PyGILState_Release, not routed");
        if (raised_ && !mine.had_error) {
            pyattach_error_clear(); // else it would be lost with the thread state, or stay in it
            raised_ = false;
        }
        support::cpython<void(int)>("PyGILState_Release")(unlocked);
    }
}

void machine::settle_ensures() {
    if (!world_.is_up)
        return;
    // Also ends the ticket that came with the answer "not finalizing".
    EXPECT(attaching(is_quiet(), [] { return pyattach_gilstate_ensure(); }) == unlocked);
    ++counted_.attaches;
    for (; ensures_ > 0; --ensures_)
        pyattach_gilstate_release(locked);
    pyattach_gilstate_release(unlocked);
}

bool machine::misuse_routed(unsigned which) {
    pyattach_hold hold{};
    switch (which) {
    case 0:
        pyattach_hold_end(&hold);
        return true;
    case 1:
        if (own_holds_.empty())
            return false;
        (void)!pyattach_hold_begin(own_holds_.back().get(), nullptr, nullptr);
        return true;
    case 2: // not attached
        if (is_attached() || is_forbidden())
            return false;
        (void)pyattach_gilstate_save();
        return true;
    default: // attached, or no thread state
        if (is_forbidden())
            return false;
        pyattach_gilstate_restore(is_attached() ? support::current_tstate() : nullptr);
        return true;
    }
}

void machine::routed() {
    switch (from_.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return ensure();
    case 4:
    case 5:
    case 6:
        return save();
    case 7:
    case 8:
    case 9:
        return restore();
    case 10:
    case 11:
        return release_nested();
    case 12:
        return own_tstate();
    case 13:
        return two_tstates();
    case 14:
        return begin_foreign();
    default:
        if (!end_by_deletion())
            ensure();
    }
}

} // namespace fuzz
