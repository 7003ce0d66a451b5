// How the main interpreter starts.
#include "start.hpp"

#include "attached.hpp"
#include "fatal.hpp"
#include "futex.hpp"
#include "interpreter.hpp"
#include "thread.hpp"

namespace pyattach {
namespace {

// 0: nobody starts Python; 1: somebody does; 2: and somebody waits. Two threads racing in Py_Initialize crash inside
// CPython.
futex::word starting{0};
std::atomic<thread_local_words *> starter{nullptr};

void claim() noexcept {
    uint32_t seen = 0;
    while (!starting.compare_exchange_strong(seen, 1, std::memory_order_acquire)) {
        if (seen == 1 && !starting.compare_exchange_strong(seen, 2, std::memory_order_relaxed) && seen == 0)
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        futex::wait(starting, 2);
        seen = 0;
    }
    starter.store(&this_thread, std::memory_order_relaxed);
}

void let_go() noexcept {
    starter.store(nullptr, std::memory_order_relaxed);
    if (starting.exchange(0, std::memory_order_release) == 2)
        futex::wake(starting, futex::everyone);
}

} // namespace

bool is_starter() noexcept { return starter.load(std::memory_order_relaxed) == &this_thread; }

void wait_for_start() noexcept {
    // Code that Python runs while it starts (sitecustomize) is the starter itself.
    while (uint32_t seen = starting.load(std::memory_order_acquire)) {
        if (is_starter())
            return;
        if (seen == 1 && !starting.compare_exchange_strong(seen, 2, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        futex::wait(starting, 2);
    }
}

void forget_start() noexcept {
    if (!is_starter())
        starting.store(0, std::memory_order_relaxed);
}

status start(const pyattach_start_options *options) noexcept {
    if (options && options->struct_size == 0)
        return PYATTACH_INVALID;
    if (this_thread.forbidden)
        return PYATTACH_FORBIDDEN;
    if (status missing = cpython::find()) {
        static refusal_site no_python;
        return missing != PYATTACH_NO_PYTHON
                   ? missing
                   : refused(
                         missing, no_python,
                         "pyattach_interpreter_start: no Python is loaded in this process. Python is started by its "
                         "libpython. Load one first with pyattach_python_load, by its path, or with NULL the newest "
                         "that the dynamic linker finds.");
    }
    // Also by code that Python runs while this thread starts it, from a detached scope.
    if (current_state() || is_starter())
        return PYATTACH_OK;
    const cpython::table &py = cpython::python();
    // Before the others wait for this thread, since it asks the dynamic linker. Where Python runs already, its host has
    // decided.
    if (!py.is_initialized())
        cpython::make_global();
    claim();
    bool was_running = py.is_initialized() != 0;
    status result = PYATTACH_OK;
    if (!was_running) {
        if (!cpython::start(options)) {
            result = PYATTACH_NOT_INITIALIZED;
        } else {
            if (thread *me = own_record())
                meet(*me, py.current());
            cpython::save();
        }
    }
    let_go();
    if (!was_running)
        return result;
    // Somebody else initialised it, perhaps is still at it: the first attach waits until it is usable.
    attached_scope once;
    if (status refused = attached::begin(once))
        return refused;
    attached::end(once);
    return PYATTACH_OK;
}

} // namespace pyattach
