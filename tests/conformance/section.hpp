// Sections as scopes, and a look at the lock of an object. For the tests of critical sections.
#pragma once

#include <functional>

#include "conformance/conformance.hpp"

// 1 if the object's lock is held, 0 if not; with a GIL there is none, and the answer is what is wanted.
inline bool lock_is(bool wanted, object *of) {
    if (!is_free_threaded())
        return true;
    auto *header = reinterpret_cast<const std::uint8_t *>(of);
    return bool(header[10] & 1) == wanted; // after ob_tid and two bytes of flags: a PyMutex
}

class section {
  public:
    explicit section(object *one) { ok(pyattach_critical_section_begin(&section_, one)); }
    section(object *one, object *two) { ok(pyattach_critical_section_begin2(&section_, one, two)); }
    explicit section(pyattach_mutex *one) { ok(pyattach_critical_section_begin_mutex(&section_, one)); }
    section(pyattach_mutex *one, pyattach_mutex *two) {
        ok(pyattach_critical_section_begin_mutex2(&section_, one, two));
    }
    section(const section &) = delete;
    section &operator=(const section &) = delete;
    ~section() { pyattach_critical_section_end(&section_); }

  private:
    static void ok(pyattach_status status) { EXPECT(status == PYATTACH_OK); }
    pyattach_critical_section section_;
};

using entering = std::function<std::unique_ptr<section>()>;
template <class... Arguments> entering on(Arguments... of) {
    return [of...] { return std::make_unique<section>(of...); };
}

struct two_objects {
    two_objects() {
        start_python();
        attached here;
        one = new_object();
        two = new_object();
    }
    ref one, two;
    object *a() const { return one; }
    object *b() const { return two; }
};
