// Cython writes `with gil` and `with nogil` itself, so its functions stand where the other libraries have guards: each
// is entered without or with the interpreter, and calls back in the middle.
#pragma once

#include "nesting.hpp"

// In beside_cython.pyx; each calls the function inside its block.
extern "C" void with_gil_call(void (*function)());    // from a thread in any state
extern "C" void without_gil_call(void (*function)()); // from an attached one

namespace neighbours {

// What a Cython block calls must not throw through it.
inline thread_local std::exception_ptr thrown_inside;
template <class Body> void kept(const Body &body) noexcept {
    try {
        body();
    } catch (...) {
        thrown_inside = std::current_exception();
    }
}
inline void rethrow() {
    if (thrown_inside)
        std::rethrow_exception(std::exchange(thrown_inside, nullptr));
}

inline void in_with_gil() {
    kept([] {
        use_python();
        pyattach::attached nested;
        use_python();
        pyattach::detached gap{nested.token()};
        NEIGHBOUR_EXPECT(!is_attached());
    });
}
inline void in_without_gil() {
    kept([] {
        NEIGHBOUR_EXPECT(!is_attached());
        {
            pyattach::attached here;
            use_python();
            with_gil_call(in_with_gil);
            pyattach::detached gap{here.token()};
            with_gil_call(in_with_gil);
            NEIGHBOUR_EXPECT(!is_attached());
        }
        NEIGHBOUR_EXPECT(!is_attached());
    });
}

// The scenarios: attached when they are called, by whom does not matter.
inline void cython_in_ours() {
    pyattach::attached here;
    PyThreadState *state = PyThreadState_Get();
    with_gil_call(in_with_gil);
    rethrow();
    without_gil_call(in_without_gil);
    rethrow();
    NEIGHBOUR_EXPECT(PyThreadState_Get() == state);
    use_python();
}
inline void cython_in_our_gap() {
    pyattach::attached here;
    {
        pyattach::detached gap{here.token()};
        with_gil_call(in_with_gil);
        rethrow();
        NEIGHBOUR_EXPECT(!is_attached());
        with_gil_call([] { without_gil_call(in_without_gil); });
        rethrow();
    }
    use_python();
}

inline void run_cython(const std::string &name) { name == "cython_in_ours" ? cython_in_ours() : cython_in_our_gap(); }

// On a native thread, which `with gil` or a scope of ours attaches. The caller is detached.
inline void run_cython_on_thread(const std::string &name, const std::string &first, int rounds) {
    static thread_local const std::string *which;
    std::exception_ptr thrown;
    std::thread thread([&] {
        which = &name;
        kept([&] {
            for (int i = 0; i < rounds; ++i) {
                NEIGHBOUR_EXPECT(!is_attached());
                if (first == "ours") {
                    pyattach::attached here;
                    run_cython(name);
                } else {
                    with_gil_call([] { kept([] { run_cython(*which); }); });
                    rethrow();
                }
            }
            NEIGHBOUR_EXPECT(!is_attached());
        });
        thrown = std::exchange(thrown_inside, nullptr);
    });
    thread.join();
    if (thrown)
        std::rethrow_exception(thrown);
}

inline void leave_cython_thread_behind() {
    auto warm = std::make_shared<std::promise<void>>();
    std::thread([warm] {
        for (int i = 0; i < 3; ++i) {
            { pyattach::attached here; }
            with_gil_call([] {});
        }
        warm->set_value();
        for (;;)
            pause();
    }).detach();
    warm->get_future().wait();
}

} // namespace neighbours
