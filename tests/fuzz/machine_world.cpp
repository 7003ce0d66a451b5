// A thread that makes any call of the library at any time: holds, exit callbacks, finalizers, and what is set for the
// whole process.
#include "fuzz/machine.hpp"

#include <algorithm>

#include "pyattach/hold.h"
#include "pyattach/thread_hook.h"
#include "support/python.hpp"

namespace fuzz {

namespace {

thread_local machine *own_machine = nullptr;
thread_local int own_finalized = 0;

void must_hold(world &in, bool is_so, const char *what) {
    const char *none = nullptr;
    if (!is_so)
        in.broken.compare_exchange_strong(none, what);
}

void on_exit(pyattach_interpreter *interp, void *arg) {
    registration &one = *static_cast<registration *>(arg);
    must_hold(one.in, interp == one.in.main, "an exit callback was called for another interpreter");
    must_hold(one.in, one.called_last == 0 || one.called_last > one.number,
              "exit callbacks were called in the wrong order, or twice");
    must_hold(one.in, pyattach_interpreter_is_ending(nullptr) == 1, "an exit callback was told that nothing ends");
    one.called_last = one.number;
    ++one.in.exits;
}

void on_thread(pyattach_thread_event event, pyattach_interpreter *interp, void *arg) {
    world &here = *static_cast<world *>(arg);
    if (event == PYATTACH_THREAD_ENDED) {
        must_hold(here, !interp && !pyattach_is_attached(), "the end of a thread was told of an attached one");
        ++here.threads_ended;
        return;
    }
    must_hold(here, pyattach_is_attached() == 1, "the thread hook was called on a thread that is not attached");
    if (machine *mine = machine::calling())
        mine->on_attached(interp);
}

} // namespace

int &finalized_here() { return own_finalized; }

machine::machine(world &in, source &from) : world_(in), from_(from) { own_machine = this; }
machine::~machine() { own_machine = nullptr; }
machine *machine::calling() { return own_machine; }

void machine::on_attached(pyattach_interpreter *interp) {
    must_hold(world_, is_attaching_, "the thread hook was called outside a call that attaches");
    must_hold(world_, hook_allowed_, "the thread hook was called where no foreign code may run");
    must_hold(world_, interp == world_.main, "the thread hook was told of another interpreter");
    // It may use the library as any code.
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) == PYATTACH_OK) {
        ++counted_.nested;
        pyattach_attached_end(&scope);
    }
}

void machine::holds() {
    note("hold_*");
    const pyattach_status main_ended = world_.is_up ? PYATTACH_OK : PYATTACH_FINALIZING;
    EXPECT(pyattach_interpreter_is_ending(nullptr) == !world_.is_up);
    EXPECT(pyattach_interpreter_is_ending(world_.main) == !world_.is_up);
    switch (from_.below(4)) {
    case 0:
        pyattach_hold_end(nullptr);
        EXPECT(pyattach_hold_begin(nullptr, nullptr, nullptr) == PYATTACH_INVALID);
        return;
    case 1: {
        auto made = std::make_unique<pyattach_hold>();
        const bool is_named = from_.below(2) != 0;
        // To find the main interpreter this attaches, if there is none.
        const pyattach_status right = is_named || world_.is_up ? main_ended
                                      : is_forbidden()         ? PYATTACH_FORBIDDEN
                                                               : PYATTACH_NOT_INITIALIZED;
        counted_.refused += !is_named && !world_.is_up;
        EXPECT(pyattach_hold_begin(made.get(), is_named ? world_.main : nullptr,
                                   from_.below(2) ? "a label that is longer than a hold can keep" : nullptr) == right);
        if (right == PYATTACH_OK)
            own_holds_.push_back(std::move(made));
        return;
    }
    case 2: // another thread may end it
        if (!own_holds_.empty()) {
            std::lock_guard<std::mutex> lock(world_.holds_lock);
            world_.holds.push_back(std::move(own_holds_.back()));
            own_holds_.pop_back();
        }
        return;
    default: {
        std::unique_ptr<pyattach_hold> ended;
        {
            std::lock_guard<std::mutex> lock(world_.holds_lock);
            auto &from = from_.below(2) ? own_holds_ : world_.holds;
            if (from.empty())
                return;
            std::swap(from[from_.below(static_cast<unsigned>(from.size()))], from.back());
            ended = std::move(from.back());
            from.pop_back();
        }
        pyattach_hold_end(ended.get());
    }
    }
}

void machine::settle_holds() {
    std::lock_guard<std::mutex> lock(world_.holds_lock);
    for (auto *all : {&own_holds_, &world_.holds}) {
        for (auto &hold : *all)
            pyattach_hold_end(hold.get());
        all->clear();
    }
}

// Objects whose end is noticed, so that it is known where the pool is drained.
void machine::mortals() {
    note("from_finalizer");
    if (raised_ && expected() == PYATTACH_OK)
        return;
    object *made = nullptr;
    EXPECT(pyattach_from_finalizer(nullptr, nullptr, &made) == PYATTACH_INVALID);
    if (mortals_.size() < 20) {
        auto ended = [](void *arg) {
            ++own_finalized;
            ++static_cast<world *>(arg)->finalizers_called;
        };
        const pyattach_status answer = pyattach_from_finalizer(ended, &world_, &made);
        EXPECT(answer == expected() && (answer == PYATTACH_OK) == (made != nullptr));
        if (made) {
            ++world_.finalizers_made;
            mortals_.push_back(made);
        }
    }
    if (!mortals_.empty() && from_.below(2)) {
        object *dropped = mortals_.back();
        mortals_.pop_back();
        drop(dropped);
    }
}

void machine::callbacks() {
    note("exit_callback_*");
    EXPECT(pyattach_exit_callback_add(nullptr, on_exit, this) == PYATTACH_INVALID);
    EXPECT(pyattach_exit_callback_remove(world_.main, nullptr, this) == PYATTACH_INVALID);
    EXPECT(pyattach_exit_callback_remove(world_.main, on_exit, this) == PYATTACH_INVALID);
    pyattach_exit_callback_options options{};
    EXPECT(pyattach_exit_callback_add_with(world_.main, on_exit, this, &options) == PYATTACH_INVALID);
    if (!registered_.empty() && from_.below(2)) {
        std::swap(registered_[from_.below(static_cast<unsigned>(registered_.size()))], registered_.back());
        registration *one = registered_.back();
        registered_.pop_back();
        EXPECT(pyattach_exit_callback_remove(world_.main, on_exit, one) == PYATTACH_OK);
        EXPECT(pyattach_exit_callback_remove(world_.main, on_exit, one) == PYATTACH_INVALID);
        delete one;
        --world_.callbacks;
        return;
    }
    options.struct_size = sizeof options;
    options.in_fork_child = static_cast<int>(from_.below(2));
    auto one = std::make_unique<registration>(world_, ++registrations_, called_last_);
    const pyattach_status answer = from_.below(2)
                                       ? pyattach_exit_callback_add(world_.main, on_exit, one.get())
                                       : pyattach_exit_callback_add_with(world_.main, on_exit, one.get(), &options);
    EXPECT(answer == (world_.is_up ? PYATTACH_OK : PYATTACH_FINALIZING));
    if (answer == PYATTACH_OK) {
        ++world_.callbacks;
        registered_.push_back(one.release());
    }
}

void machine::housekeeping() {
    switch (from_.below(6)) {
    case 0:
        note("set_housekeeping");
        attaching(is_quiet(), [&] {
            pyattach_set_housekeeping(from_.below(2) ? PYATTACH_HOUSEKEEPING_AUTO : PYATTACH_HOUSEKEEPING_OFF);
            return 0;
        });
        return;
    case 1:
        note("set_release_delay");
        pyattach_set_release_delay(static_cast<long long>(from_.below(4)) * 1000000 - 1);
        return;
    case 2:
        note("set_thread_hook");
        pyattach_set_thread_hook(from_.below(4) ? on_thread : nullptr, &world_);
        return;
    case 3:
        note("set_thread_names");
        pyattach_set_thread_names(static_cast<int>(from_.below(2)));
        return;
    default: {
        note("thread_prepare");
        const pyattach_status answer = pyattach_thread_prepare();
        if (is_forbidden())
            EXPECT(answer == PYATTACH_FORBIDDEN);
        else if (!world_.is_up)
            EXPECT(answer == PYATTACH_NOT_INITIALIZED);
        else
            EXPECT(answer == PYATTACH_OK || answer == PYATTACH_UNSUPPORTED); // the policy is any thread's
    }
    }
}

} // namespace fuzz
