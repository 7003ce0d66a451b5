// Repeats one call of the library, with another of its external calls failing each time, until all of them have failed.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "faults.hpp"
#include "unrecycled_threads.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace faults {

// What a thread can observe before and after a call.
struct snapshot {
    bool is_attached, is_forbidden, has_exception;
    void *state;
    int depth;
};
inline snapshot current_snapshot() {
    bool is_attached = support::cpython_says_attached();
    return {is_attached, pyattach_is_forbidden() != 0,
            is_attached && support::cpython<support::object *()>("PyErr_Occurred")() != nullptr,
            is_attached ? support::current_tstate() : nullptr, pyattach_attach_depth()};
}
inline void expect_same(const snapshot &expected, const snapshot &other, const std::string &when) {
    EXPECT_SENTENCE(expected.is_attached == other.is_attached, when + ": attached before and not after, or not before");
    EXPECT_SENTENCE(expected.is_forbidden == other.is_forbidden,
                    when + ": forbidden before and not after, or not before");
    EXPECT_SENTENCE(expected.state == other.state, when + ": another thread state");
    EXPECT_SENTENCE(expected.depth == other.depth, when + ": another depth");
    EXPECT_SENTENCE(expected.has_exception == other.has_exception,
                    when + ": an exception is pending, or pending no more");
}

// The state of the new thread on which each call is made.
enum class on { fresh, attached_by_others, inside, in_a_gap };

struct standing {
    explicit standing(on thread) {
        if (thread == on::attached_by_others)
            foreign_ = std::make_unique<support::foreign_attach>();
        if (thread == on::inside || thread == on::in_a_gap)
            here_ = std::make_unique<support::attached>();
        if (thread == on::in_a_gap)
            gap_ = std::make_unique<support::detached>();
    }
    ~standing() {
        gap_.reset();
        here_.reset();
        foreign_.reset();
    }

  private:
    std::unique_ptr<support::foreign_attach> foreign_;
    std::unique_ptr<support::attached> here_;
    std::unique_ptr<support::detached> gap_;
};

inline void expect_refused_well(pyattach_status status, const snapshot &before, const std::string &when) {
    snapshot after = current_snapshot();
    if (status == PYATTACH_PYTHON_ERROR && !before.has_exception) {
        EXPECT_SENTENCE(after.has_exception, when + ": PYTHON_ERROR without an exception");
        pyattach_error_clear();
        after.has_exception = false;
    } else {
        EXPECT_SENTENCE(status == PYATTACH_OK || status == PYATTACH_NO_MEMORY,
                        when + ": " + pyattach_status_message(status));
    }
    expect_same(before, after, when);
}

// Returns how often `call` was made to fail: first with one failure each time, then with all later calls failing, too.
// After a success `call` undoes what it did.
inline int sweep(const char *name, on thread, const std::function<pyattach_status()> &call,
                 lasting how_long = lasting::once) {
    std::unique_ptr<unrecycled_threads> others;
    if (thread == on::fresh || thread == on::attached_by_others)
        others = std::make_unique<unrecycled_threads>(); // else ended threads leave to a new one what is to fail here
    for (int before = 0; before < 500; ++before) {
        bool is_over = false;
        auto once = [&] {
            standing stands(thread);
            const snapshot first = current_snapshot();
            arm(before, of::all, how_long);
            pyattach_status status = call();
            const char *failed = disarm();
            std::string when = std::string(name) + ", " + (failed ? failed : "nothing") + " failing";
            expect_refused_well(status, first, when);
            EXPECT_SENTENCE(failed || status == PYATTACH_OK, when + ": " + pyattach_status_message(status));
            status = call();
            EXPECT_SENTENCE(status == PYATTACH_OK, when + ": the second try: " + pyattach_status_message(status));
            expect_same(first, current_snapshot(), when + ": the second try");
            is_over = failed == nullptr;
        };
        if (others)
            others->run(once);
        else
            support::run_on_thread(once);
        if (!is_over)
            continue;
        others.reset();
        if (how_long == lasting::once)
            sweep(name, thread, call, lasting::from_then_on);
        return before;
    }
    support::fail(__FILE__, __LINE__, std::string(name) + " never succeeds");
}

} // namespace faults
