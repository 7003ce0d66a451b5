// A Python to test with, and short ways to use it. All but the first group needs an attached thread; all report failure
// by throwing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "pyattach/pyattach.h"
#include "support/expect.hpp"

namespace support {

using object = struct ::_object;

// PYATTACH_TEST_PYTHON and PYATTACH_TEST_LIBPYTHON, else what Meson found.
const std::string &python_executable();
const std::string &libpython();

// Options that name the Python under test.
pyattach_start_options start_options();
void load_python();
// Loads and starts it, once; leaves the caller detached. For tests: on the thread that runs main(), which becomes
// Python's main thread.
void start_python();
// Ends what start_python began, if it did; NULL, or why it did not end well.
const char *stop_python() noexcept;

// What was loaded.
unsigned python_version(); // as 0x030d00f0
bool is_free_threaded();
bool is_debug_build();
// Collects what the message handler receives during its lifetime. Nested ones share what the outermost collects.
class messages {
  public:
    messages();
    ~messages();
    messages(const messages &) = delete;
    messages &operator=(const messages &) = delete;
    std::string text() const;
};

// An address in the libpython under test. Tests may know CPython; the library may not.
void *cpython_symbol(const char *name, bool required = true);
template <class Function> Function *cpython(const char *name) {
    return reinterpret_cast<Function *>(cpython_symbol(name));
}

// Is this thread attached? Asked of CPython, without the library. Any thread.
bool cpython_says_attached();
// The tstate in this thread's GILState slot, and the current one. Any thread.
void *gilstate_tstate();
void *current_tstate();

// An owned reference, given back through pyattach_decref, on whatever thread.
class ref {
  public:
    ref() = default;
    explicit ref(object *stolen) : object_(stolen) {}
    ref(ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    ref &operator=(ref &&other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~ref() { pyattach_decref(object_); }
    object *get() const { return object_; }
    operator object *() const { return object_; }
    object *release() { return std::exchange(object_, nullptr); }
    void drop() { pyattach_decref(release()); }

  private:
    object *object_ = nullptr;
};

// Throws the pending exception as a failure.
[[noreturn]] void throw_python_error(const std::string &doing);

void run(const std::string &statements);
ref eval(const std::string &expression);
std::int64_t eval_int(const std::string &expression);
bool eval_true(const std::string &expression);
std::string eval_text(const std::string &expression);
// Whether `condition`, an expression about `it`, is true of the object.
bool is_true_of(object *it, const std::string &condition);
std::int64_t to_int(object *);
// Puts an object into __main__ under a name.
void publish(const char *name, object *);
// References to the object, as sys.getrefcount counts them, its own argument taken off.
std::int64_t reference_count(object *);
// A new object of no special kind, with one reference.
ref new_object();
// A new object whose __del__ executes `statements`, which may use `self`.
ref object_with_finalizer(const std::string &statements);

// A Python callable without arguments that calls `function`, attached, from Python; what that throws becomes a
// RuntimeError.
ref native_function(std::function<void()> function);

} // namespace support
