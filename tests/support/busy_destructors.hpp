// Destructors that use Python, for objects that die while a tstate is deleted.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "support/scopes.hpp"
#include "support/tstate_counts.hpp"

namespace support {

// In every way that native code has. Called attached, by a destructor that the deletion of a tstate runs.
inline void use_python_in_deletion() {
    {
        attached nested;
        EXPECT(eval_int("6 * 7") == 42);
        {
            detached gap;
            attached again;
            EXPECT(eval_int("6 * 7") == 42);
        }
        foreign_attach other;
        EXPECT(eval_int("6 * 7") == 42);
    }
    {
        foreign_detach gap;
        foreign_attach other;
        attached inside;
    }
    EXPECT(pyattach_thread_release() == PYATTACH_INVALID);
    new_object().drop();
    EXPECT(cpython_says_attached());
}

// `Busy` in __main__: its __del__ calls a function, and counts the calls that came to their end. Beside it, `local`.
class busy_destructors {
  public:
    explicit busy_destructors(std::function<void()> use = use_python_in_deletion) {
        attached here;
        make_thread_local();
        publish("die", native_function([this, use = std::move(use)] {
                    use();
                    ++completed;
                }));
        run("class Busy:\n    def __del__(self): die()\n");
    }
    busy_destructors(const busy_destructors &) = delete;
    busy_destructors &operator=(const busy_destructors &) = delete;
    ~busy_destructors() {
        attached here;
        run("del Busy, die");
    }
    std::atomic<int> completed{0};
};

} // namespace support
