// A thread that makes any call of the library at any time: references, interpreters, locks, settings; and misuse.
#include "fuzz/machine.hpp"

#include <algorithm>

#include "support/expect.hpp"

namespace fuzz {

void machine::drop(object *reference) {
    pyattach_decref(reference);
    ++(!world_.is_up                      ? counted_.drops_leaked
       : is_attached() && !is_forbidden() ? counted_.drops_now
                                          : counted_.drops_queued);
}

void machine::references() {
    switch (from_.below(8)) {
    case 6:
    case 7:
        return mortals();
    case 0:
        note("pool_drain");
        EXPECT(pyattach_pool_drain() == expected());
        return;
    case 1:
        note("pool_size");
        (void)pyattach_pool_size();
        pyattach_decref(nullptr);
        EXPECT(pyattach_incref(nullptr) == PYATTACH_INVALID);
        return;
    case 2:
    case 3:
        note("incref");
        EXPECT(pyattach_incref(world_.probe) == expected());
        held_ += expected() == PYATTACH_OK;
        return;
    case 4:
        if (held_ == 0 && world_.is_up)
            return;
        note("decref_in");
        held_ -= held_ > 0;
        pyattach_decref_in(world_.main, world_.probe);
        ++(!world_.is_up                      ? counted_.drops_leaked
           : is_attached() && !is_forbidden() ? counted_.drops_now
                                              : counted_.drops_queued);
        return;
    default:
        if (held_ == 0 && world_.is_up)
            return;
        note("decref");
        held_ -= held_ > 0;
        drop(world_.probe);
    }
}

void machine::interpreters() {
    note("interpreter_*");
    switch (from_.below(6)) {
    case 0:
        EXPECT(pyattach_interpreter_main() == (world_.is_up ? world_.main : nullptr));
        counted_.refused += !world_.is_up;
        return;
    case 1:
        EXPECT(pyattach_interpreter_current() == (expected() == PYATTACH_OK ? world_.main : nullptr));
        return;
    case 2:
        if (!world_.is_up)
            return;
        note("interpreter_start");
        counted_.attaches += expected() == PYATTACH_NOT_ATTACHED;
        EXPECT(attaching(is_quiet(), [] { return pyattach_interpreter_start(); }) ==
               (is_forbidden() ? PYATTACH_FORBIDDEN : PYATTACH_OK));
        return;
    case 3: {
        pyattach_start_options nothing{};
        EXPECT(pyattach_interpreter_start_with(&nothing) == PYATTACH_INVALID);
        // Not on this thread.
        EXPECT(pyattach_interpreter_stop() == (is_forbidden() ? PYATTACH_FORBIDDEN
                                               : world_.is_up ? PYATTACH_INVALID
                                                              : PYATTACH_NOT_INITIALIZED));
        return;
    }
    case 4:
        if (ensures_) // a count in the thread state
            return;
        note("thread_release");
        EXPECT(pyattach_thread_release() == (is_forbidden()  ? PYATTACH_FORBIDDEN
                                             : open_.empty() ? PYATTACH_OK
                                                             : PYATTACH_INVALID));
        return;
    default:
        pyattach_python about{};
        EXPECT(pyattach_python_describe(&about) == PYATTACH_INVALID);
        about.struct_size = sizeof about;
        EXPECT(pyattach_python_describe(&about) == PYATTACH_OK);
        EXPECT(pyattach_python_load(world_.library.c_str()) == PYATTACH_OK);
        EXPECT(pyattach_python_load("/nowhere") == PYATTACH_INVALID);
        EXPECT(pyattach_version() == PYATTACH_VERSION);
    }
}

void machine::locks() {
    switch (from_.below(5)) {
    case 0:
        return recursive();
    case 1:
        return several();
    case 2:
        return lock_for();
    default:
        break;
    }
    unsigned which = from_.below(mutexes);
    pyattach_mutex *mutex = &world_.mutex[which];
    const unsigned bit = 1u << which;
    if (locked_ & bit) {
        note("mutex_unlock");
        if (from_.below(3) == 0)
            EXPECT(!pyattach_mutex_try_lock(mutex)); // not recursive
        locked_ &= ~bit;
        pyattach_mutex_unlock(mutex);
        return;
    }
    // In one order; and what waits forbidden keeps the interpreter from everybody.
    if (is_forbidden() || recursions_ || (locked_ & ~(bit - 1))) {
        note("mutex_try_lock");
        locked_ |= pyattach_mutex_try_lock(mutex) ? bit : 0;
        return;
    }
    note("mutex_lock");
    pyattach_mutex_lock(mutex);
    locked_ |= bit;
}

void machine::once() {
    struct run {
        pyattach_status answer;
        int calls;
    } mine = {from_.below(2) ? PYATTACH_OK : PYATTACH_TIMED_OUT, 0};
    auto init = [](void *arg) {
        auto &here = *static_cast<run *>(arg);
        ++here.calls;
        return here.answer;
    };
    if (is_forbidden() || from_.below(2)) {
        note("once_run");
        pyattach_once fresh = PYATTACH_ONCE_INIT;
        EXPECT(pyattach_once_run(&fresh, init, &mine) == mine.answer);
        EXPECT(pyattach_once_run(&fresh, init, &mine) == mine.answer);
        EXPECT(mine.calls == (mine.answer == PYATTACH_OK ? 1 : 2));
        EXPECT(pyattach_once_run(&fresh, nullptr, nullptr) == PYATTACH_INVALID);
        return;
    }
    note("once_run, shared");
    pyattach_status answer = pyattach_once_run(&world_.once[from_.below(onces)], init, &mine);
    EXPECT(answer == (mine.calls ? mine.answer : PYATTACH_OK));
    EXPECT(mine.calls <= 1);
}

void machine::settings() {
    if (from_.below(2))
        return housekeeping();
    note("settings");
    switch (from_.below(5)) {
    case 0:
        pyattach_set_drain_budget(from_.below(3) * 100);
        return;
    case 1:
        pyattach_set_thread_policy(from_.below(4) ? PYATTACH_THREADS_WARM : PYATTACH_THREADS_SCOPED);
        return;
    case 2:
        pyattach_set_exit_timeout(30000000000 + from_.below(100));
        return;
    case 3:
        if (from_.below(2))
            pyattach_set_message_handler([](const char *, void *) {}, nullptr);
        else
            pyattach_set_message_handler(nullptr, nullptr);
        return;
    default:
        pyattach_stats all{};
        all.struct_size = sizeof all;
        pyattach_stats_get(&all);
        pyattach_stats_get(nullptr);
        EXPECT(all.attaches >= counted_.attaches && all.refused >= counted_.refused);
        EXPECT(pyattach_status_message(static_cast<pyattach_status>(from_.below(20))));
    }
}

bool machine::misuse(unsigned which) {
    auto begin = [](kind what, auto &from) -> item * {
        for (auto one = from.rbegin(); one != from.rend(); ++one)
            if ((*one)->what == what)
                return one->get();
        return nullptr;
    };
    pyattach_status ignored = PYATTACH_OK; // none of these returns
    (void)ignored;
    switch (which) {
    case 0: // out of order, or forbidden
        for (size_t i = 0; i < open_.size(); ++i) {
            if (may_end(i))
                continue;
            item &one = *open_[i];
            // With nothing but sections left inside, that is noticed when those end.
            auto after = open_.begin() + static_cast<std::ptrdiff_t>(i) + 1;
            if (!is_forbidden() &&
                std::all_of(after, open_.end(), [](const auto &other) { return other->what == kind::section; }) &&
                one.what != kind::section)
                continue;
            switch (one.what) {
            case kind::outer:
            case kind::nested:
                pyattach_attached_end(&one.attached);
                break;
            case kind::gap:
                ignored = pyattach_detached_end(&one.detached);
                break;
            case kind::traverse:
                pyattach_forbidden_end(&one.forbidden);
                break;
            case kind::section:
                if (is_forbidden())
                    continue; // the section of a thread that is attached all the same
                pyattach_critical_section_end(&one.section);
                break;
            default:
                continue; // CPython's handles do not say what they end
            }
            return true;
        }
        return false;
    case 1: // twice
        if (item *one = begin(kind::outer, ended_))
            return pyattach_attached_end(&one->attached), true;
        if (item *one = begin(kind::nested, ended_))
            return pyattach_attached_end(&one->attached), true;
        if (item *one = begin(kind::gap, ended_))
            return ignored = pyattach_detached_end(&one->detached), true;
        if (item *one = begin(kind::traverse, ended_))
            return pyattach_forbidden_end(&one->forbidden), true;
        if (item *one = begin(kind::section, ended_))
            return pyattach_critical_section_end(&one->section), true;
        return false;
    case 2: // moved
        if (item *one = begin(kind::outer, open_)) {
            pyattach_attached copy = one->attached;
            return pyattach_attached_end(&copy), true;
        }
        if (item *one = begin(kind::gap, open_)) {
            pyattach_detached copy = one->detached;
            return ignored = pyattach_detached_end(&copy), true;
        }
        return false;
    case 3: // not locked
        if (locked_ & 1u)
            return false;
        pyattach_mutex_unlock(&world_.mutex[0]);
        return true;
    case 4: // not owned
        if (recursions_)
            return false;
        world_.recursive.unlock();
        return true;
    default:
        return misuse_routed(which - 5);
    }
}

} // namespace fuzz
