// Included first by every file here. A test is named after the test of another project that it ports: see lines.txt.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "support/tstate_counts.hpp"
#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "tests_config.hpp"

using namespace support;

constexpr unsigned python_3_12 = 0x030c0000, python_3_13 = 0x030d0000, python_3_14 = 0x030e0000,
                   python_3_15 = 0x030f0000;

// Adds a reference besides `ref`'s own, as a second owner has it.
inline object *second_reference(object *it) {
    EXPECT(pyattach_incref(it) == PYATTACH_OK);
    return it;
}

// A sub-interpreter that is current on this thread from construction to end(). Constructed attached to the main one.
class current_sub_interpreter {
  public:
    current_sub_interpreter() : main_(current_tstate()), state_(cpython<void *()>("Py_NewInterpreter")()) {
        EXPECT(state_);
    }
    current_sub_interpreter(const current_sub_interpreter &) = delete;
    current_sub_interpreter &operator=(const current_sub_interpreter &) = delete;
    ~current_sub_interpreter() { end(); }
    void end() {
        if (!state_)
            return;
        swap(state_);
        cpython<void(void *)>("Py_EndInterpreter")(std::exchange(state_, nullptr));
        swap(main_);
    }
    void *state() const { return state_; }
    void to_main() { swap(main_); }
    void back() { swap(state_); }

  private:
    static void swap(void *to) {
        if (current_tstate() != to)
            cpython<void *(void *)>("PyThreadState_Swap")(to);
    }
    void *main_, *state_;
};
