// Misrouted: calls of routed code that cannot be served.
#include "gilstate/misrouted.hpp"

#include <cstdio>

#include "base/diagnostics.hpp"
#include "base/status.hpp"
#include "platform/loader.hpp"

namespace pyattach::gilstate {
namespace {

using sentence = char[PATH_MAX + 300];

// Aborts. `format` has one %s, for the name of the module that contains `address`.
[[noreturn]] void misuse_in(const char *format, const void *address, const char *rule, const char *instead) noexcept {
    char path[PATH_MAX];
    loader::path_of(address, path);
    sentence what;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    std::snprintf(what, sizeof what, format, path[0] ? path : "a module that is not known");
#pragma GCC diagnostic pop
    misuse(what, rule, instead);
}

const char route_both[] = "Route both modules, or neither: see docs/adopt.md.";

} // namespace

void too_many(const entry &top) noexcept {
    misuse_in("PyGILState or PyEval_SaveThread: this thread has 10000 calls open, the last one made by %s.", top.caller,
              "Each routed PyGILState_Ensure and PyEval_SaveThread is paired with a routed call on the same thread.",
              route_both);
}

void released_elsewhere(const entry &attached) noexcept {
    misuse_in("PyGILState_Release: code that is not routed has released what a routed PyGILState_Ensure in %s began.",
              attached.caller, "Both calls of a pair are routed to this library, or neither is.", route_both);
}

void resumed_elsewhere(const entry &gap, const void *) noexcept {
    misuse_in("PyEval_RestoreThread: code that is not routed has ended what a routed PyEval_SaveThread in %s began.",
              gap.caller, "Both calls of a pair are routed to this library, or neither is.", route_both);
}

void unbalanced_release(const void *caller) noexcept {
    misuse_in("PyGILState_Release, called by %s: this thread has no PyGILState_Ensure to release.", caller,
              "Each PyGILState_Release belongs to one PyGILState_Ensure on the same thread.",
              "Release what was ensured once, with the value that it returned.");
}

void release_in_gap(const entry &gap, const void *) noexcept {
    misuse_in("PyGILState_Release: the thread is detached by a PyEval_SaveThread in %s.", gap.caller,
              "What detached inside a PyGILState_Ensure attaches again before the PyGILState_Release.",
              "Call PyEval_RestoreThread first.");
}

void save_unattached(const void *caller) noexcept {
    misuse_in("PyEval_SaveThread, called by %s: the thread is not attached.", caller,
              "Only an attached thread can be detached.", "Attach it with PyGILState_Ensure first.");
}

void restore_attached(const void *caller) noexcept {
    misuse_in("PyEval_RestoreThread, called by %s: the thread is attached already.", caller,
              "A thread is attached with one thread state at a time.",
              "Pair each PyEval_RestoreThread with one PyEval_SaveThread before it.");
}

void restore_null(const void *caller) noexcept {
    misuse_in("PyEval_RestoreThread, called by %s: the thread state is NULL.", caller,
              "The thread state is one that PyEval_SaveThread or PyThreadState_New returned.", "Pass that one.");
}

void restore_of_other(const void *caller, pid_t owner) noexcept {
    char format[200];
    std::snprintf(format, sizeof format,
                  "PyEval_RestoreThread, called by %%s: the thread state belongs to thread %d, which did not save it.",
                  static_cast<int>(owner));
    misuse_in(format, caller, "This library keeps a thread state for each native thread, and only that thread uses it.",
              "Attach with PyGILState_Ensure; do not keep a thread state after PyGILState_Release.");
}

void delete_in_use(const void *caller) noexcept {
    misuse_in("PyThreadState_DeleteCurrent, called by %s: a scope of this library is open with the thread state.",
              caller, "A thread state is not deleted while a scope uses it.", "End the scopes of this thread first.");
}

void no_python(const void *caller, status why) noexcept {
    char format[400];
    std::snprintf(format, sizeof format, "PyGILState_Ensure or PyEval_RestoreThread, called by %%s: %.200s.",
                  message_of(why));
    misuse_in(format, caller, "Routed calls need a Python that runs, and that this library can find.",
              "Start Python first; a program that contains CPython exports its names (-rdynamic).");
}

} // namespace pyattach::gilstate
