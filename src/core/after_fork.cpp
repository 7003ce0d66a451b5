// After a fork: whether Python can be used in a process that a fork() made.
#include "core/after_fork.hpp"

#include "base/diagnostics.hpp"

namespace pyattach {

std::atomic<after_fork> python_after_fork{after_fork::in_order};
std::atomic<uint32_t> fork_generation{0};
std::atomic<const thread_local_words *> surviving_thread{nullptr};

namespace {

constexpr const char *not_over =
    "attaching is refused: this process was made by fork(), and Python has not put itself in order yet. A thread that "
    "is attached stays attached meanwhile. Attach once Python's own after-fork (PyOS_AfterFork_Child) has returned.";

const char *obstacle = nullptr;

} // namespace

void set_fork_obstacle(const char *sentence) noexcept { obstacle = sentence; }

bool is_refused_after_fork() noexcept {
    return is_python_out_of_order() && !(python_after_fork.load(std::memory_order_relaxed) == after_fork::repairing &&
                                         surviving_thread.load(std::memory_order_relaxed) == &this_thread);
}

pyattach_status refused_after_fork() noexcept {
    static refusal_site lasting, passing;
    const bool is_lasting = obstacle && is_stranded();
    return refused(PYATTACH_UNSUPPORTED, is_lasting ? lasting : passing, is_lasting ? obstacle : not_over);
}

} // namespace pyattach
