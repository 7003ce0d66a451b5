// Beginning a scope in the storage of an open one aborts at begin, if it would overwrite the open one.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"

using namespace support;

namespace {

// As with a static scope in a recursive function.
pyattach_attached shared;
pyattach_detached shared_gap;
pyattach_critical_section shared_section;

void begin_in_vain(pyattach_attached *scope) { EXPECT(pyattach_attached_begin(scope) == PYATTACH_OK); }

} // namespace

CHILD("begin the scope that attached again") {
    start_python();
    begin_in_vain(&shared);
    begin_in_vain(&shared);
}
CHILD("begin the scope that attached again, with a state for each scope") {
    pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED);
    start_python();
    begin_in_vain(&shared);
    begin_in_vain(&shared);
}
CHILD("begin the scope that attached again in a detached one") {
    start_python();
    begin_in_vain(&shared);
    detached gap;
    begin_in_vain(&shared);
}
CHILD("begin the scope that attached again by its interpreter") {
    start_python();
    begin_in_vain(&shared);
    EXPECT(pyattach_attached_begin_in(&shared, pyattach_interpreter_main()) == PYATTACH_OK);
}
CHILD("begin the scope that attached again unchecked") {
    start_python();
    begin_in_vain(&shared);
    EXPECT(pyattach_attached_begin_unchecked(&shared) == PYATTACH_OK);
}
CHILD("begin the scope that attached again where that is refused") {
    start_python();
    begin_in_vain(&shared);
    forbidden traverse;
    EXPECT(pyattach_attached_begin(&shared) == PYATTACH_FORBIDDEN);
}
TEST_CASE("beginning the outermost attached scope a second time aborts at once") {
    for (const char *way :
         {"begin the scope that attached again", "begin the scope that attached again, with a state for each scope",
          "begin the scope that attached again in a detached one",
          "begin the scope that attached again by its interpreter", "begin the scope that attached again unchecked",
          "begin the scope that attached again where that is refused"})
        check_aborts(way, {"pyattach_attached_begin", "open in this storage", "a scope of its own"});
}

CHILD("begin a detached scope again") {
    start_python();
    attached here;
    EXPECT(pyattach_detached_begin(&shared_gap) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&shared_gap) == PYATTACH_NOT_ATTACHED);
}
CHILD("begin a detached scope again in an attached one") {
    start_python();
    attached here;
    EXPECT(pyattach_detached_begin(&shared_gap) == PYATTACH_OK);
    attached inside;
    EXPECT(pyattach_detached_begin(&shared_gap) == PYATTACH_OK);
}
TEST_CASE("beginning an open detached scope a second time aborts at once") {
    for (const char *way : {"begin a detached scope again", "begin a detached scope again in an attached one"})
        check_aborts(way, {"pyattach_detached_begin", "open in this storage", "a scope of its own"});
}

CHILD("begin a critical section again") {
    start_python();
    attached here;
    ref first = new_object(), second = new_object();
    EXPECT(pyattach_critical_section_begin(&shared_section, first) == PYATTACH_OK);
    EXPECT(pyattach_critical_section_begin(&shared_section, second) == PYATTACH_OK);
}
CHILD("begin a critical section again where that is refused") {
    start_python();
    attached here;
    ref reference = new_object();
    EXPECT(pyattach_critical_section_begin(&shared_section, reference) == PYATTACH_OK);
    forbidden traverse;
    EXPECT(pyattach_critical_section_begin(&shared_section, reference) == PYATTACH_FORBIDDEN);
}
TEST_CASE("beginning an open critical section a second time aborts at once") {
    for (const char *way : {"begin a critical section again", "begin a critical section again where that is refused"})
        check_aborts(way, {"pyattach_critical_section_begin", "open in this storage", "a scope of its own"});
}

CHILD("begin a nested scope again") {
    start_python();
    attached here;
    begin_in_vain(&shared);
    begin_in_vain(&shared);
    pyattach_attached_end(&shared);
    pyattach_attached_end(&shared);
}
CHILD("begin a scope on the stack again") {
    start_python();
    pyattach_attached scope;
    begin_in_vain(&scope);
    begin_in_vain(&scope);
    pyattach_attached_end(&scope);
    pyattach_attached_end(&scope);
}
CHILD("begin a detached scope on the stack again") {
    start_python();
    attached here;
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_NOT_ATTACHED);
    EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
}
CHILD("begin a forbidden scope on the stack again") {
    pyattach_forbidden traverse;
    pyattach_forbidden_begin(&traverse);
    pyattach_forbidden_begin(&traverse);
    pyattach_forbidden_end(&traverse);
    pyattach_forbidden_end(&traverse);
}
TEST_CASE("a nested scope, or one on the stack, that is begun twice aborts where it ends the second time") {
    check_aborts("begin a nested scope again", {"pyattach_attached_end", "ended already", "once"});
    check_aborts("begin a scope on the stack again", {"pyattach_attached_end", "ended already", "once"});
    check_aborts("begin a detached scope on the stack again", {"pyattach_detached_end", "refused"});
    check_aborts("begin a forbidden scope on the stack again", {"pyattach_forbidden_end", "once"});
}
