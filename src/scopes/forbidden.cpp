// Forbidden: a tp_traverse function runs on this thread.
#include "scopes/forbidden.hpp"

#include "base/diagnostics.hpp"

namespace pyattach::forbidden {

// Makes no record and allocates nothing, because tp_traverse runs inside a garbage collection, on any thread.
void begin(forbidden_scope &scope) noexcept {
    scope = {tag::forbidden, ++this_thread.forbidden, &this_thread};
    this_thread.take_slow_paths();
}

void end(forbidden_scope &scope) noexcept {
    if (scope.tag != tag::forbidden)
        misuse("pyattach_forbidden_end: this is not an open forbidden scope.",
               "A scope is ended once, at its own address.", "Pair each begin with one end.");
    if (scope.owner != &this_thread)
        misuse("pyattach_forbidden_end: the scope was begun on another thread.", "A scope ends on its own thread.",
               "End it where it was begun.");
    if (scope.depth != this_thread.forbidden)
        misuse("pyattach_forbidden_end: a forbidden scope inside this one is still open.",
               "Forbidden scopes end innermost first.", "End the inner one first.");
    scope.tag = tag::ended;
    --this_thread.forbidden;
    this_thread.tag(this_thread.record());
}

} // namespace pyattach::forbidden
