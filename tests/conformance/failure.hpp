// Failures met in the field, shown twice: in a child that uses CPython's own calls, and in one that uses this library
// in the same place.
#pragma once

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ostream>
#include <sys/time.h>

#include "conformance/conformance.hpp"
#include "support/plain_python.hpp"

namespace failure {

enum class outcome { fine, wrong_answer, crashed, hung };
inline std::ostream &operator<<(std::ostream &out, outcome what) {
    const char *names[] = {"is fine", "gives a wrong answer", "crashes", "hangs"};
    return out << names[static_cast<int>(what)];
}

constexpr int wrong_status = 96;

// In a child, once all threads have reached their positions: SIGALRM ends the child if it hangs from here on.
inline void must_end_soon() {
    itimerval soon = {{0, 0}, {0, 700000}};
    setitimer(ITIMER_REAL, &soon, nullptr);
}
// In a child: whether the call under test returned the right answer.
inline void answer(bool is_right) {
    if (!is_right)
        std::_Exit(wrong_status);
}

inline outcome outcome_of(const child_result &result) {
    if (result.timed_out || result.signal == SIGALRM)
        return outcome::hung;
    if (result.signal != 0)
        return outcome::crashed;
    return result.exit_code == 0              ? outcome::fine
           : result.exit_code == wrong_status ? outcome::wrong_answer
                                              : outcome::crashed;
}

// The outcome of CPython's own calls: one of `expected` on the Pythons where it always is; elsewhere a warning only.
inline void check_plain(const char *scenario, std::initializer_list<outcome> expected, bool is_judged = true) {
    child_result result = run_child(scenario);
    outcome seen = outcome_of(result);
    INFO(scenario << ": " << seen << ": " << result.describe());
    CHECK((result.exit_code != 70 && result.exit_code != 71)); // the scenario itself failed
    bool is_expected = std::find(expected.begin(), expected.end(), seen) != expected.end();
    if (is_judged)
        CHECK(is_expected);
    else if (!is_expected)
        WARN(scenario << ": " << seen << " here");
}
inline void check_plain(const char *scenario, outcome expected, bool is_judged = true) {
    check_plain(scenario, {expected}, is_judged);
}

// The Python that the children load.
struct about {
    unsigned version = (load_python(), python_version());
    bool is_free_threaded = support::is_free_threaded(), is_debug = is_debug_build();
};

// Python started without the library, the caller attached; and a thread attached without it.
inline const plain::plain_python &start_plain() {
    plain::start();
    return plain::python();
}
class plain_attach {
  public:
    plain_attach() : before_(plain::python().ensure()) {}
    plain_attach(const plain_attach &) = delete;
    plain_attach &operator=(const plain_attach &) = delete;
    ~plain_attach() { plain::python().release(before_); }

  private:
    int before_;
};

// An expression in __main__; a new reference.
inline object *plain_eval(const char *expression) {
    const plain::plain_python &py = plain::python();
    std::string code = std::string("result = ") + expression;
    EXPECT(py.run(code.c_str(), nullptr) == 0);
    object *found = py.get(py.add_module("__main__"), "result");
    EXPECT(found);
    EXPECT(py.run("del result", nullptr) == 0);
    return found;
}
inline long plain_int(const char *expression) {
    object *number = plain_eval(expression);
    long value = plain::cpython<long(object *)>("PyLong_AsLong")(number);
    plain::python().decref(number);
    return value;
}

} // namespace failure

using namespace failure;
