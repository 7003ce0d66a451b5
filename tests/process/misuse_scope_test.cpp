// Misused scopes: each aborts with a sentence. Every scenario is a process of its own.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstring>

using namespace support;

namespace {

// These calls must not return.
void end_in_vain(pyattach_detached *scope) { EXPECT(pyattach_detached_end(scope) == PYATTACH_OK); }

} // namespace

// --- Attached scopes (the outermost ended first: conformance, "PyO3 issue 1019, second case") ---

CHILD("end an attached scope twice") {
    start_python();
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    pyattach_attached_end(&scope);
    pyattach_attached_end(&scope);
}
CHILD("end a nested attached scope twice") {
    start_python();
    attached outer;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    pyattach_attached_end(&scope);
    pyattach_attached_end(&scope);
}
CHILD("end an attached scope that was refused") {
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NO_PYTHON);
    pyattach_attached_end(&scope);
}
CHILD("end an attached scope that was never begun") {
    start_python();
    attached outer;
    pyattach_attached scope;
    std::memset(&scope, 0, sizeof scope);
    pyattach_attached_end(&scope);
}
CHILD("end an attached scope in another place") {
    start_python();
    pyattach_attached scope, copy;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    copy = scope;
    pyattach_attached_end(&copy);
}
TEST_CASE("ending an attached scope that is not open aborts") {
    check_aborts("end an attached scope twice", {"pyattach_attached_end", "ended already", "once"});
    check_aborts("end a nested attached scope twice", {"pyattach_attached_end", "ended already", "once"});
    check_aborts("end an attached scope that was refused", {"pyattach_attached_end", "refused", "status"});
    check_aborts("end an attached scope that was never begun", {"pyattach_attached_end", "not an attached scope"});
    check_aborts("end an attached scope in another place", {"pyattach_attached_end"});
}

CHILD("end the scope that attached on another thread") {
    start_python();
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    run_on_thread([&] { pyattach_attached_end(&scope); });
}
CHILD("end a nested attached scope on another thread") {
    start_python();
    attached outer;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    run_on_thread([&] { pyattach_attached_end(&scope); });
}
TEST_CASE("ending an attached scope on another thread aborts") {
    check_aborts("end the scope that attached on another thread", {"pyattach_attached_end", "another thread"});
    check_aborts("end a nested attached scope on another thread", {"pyattach_attached_end", "another thread"});
}

CHILD("end a nested scope before a detached one inside it") {
    start_python();
    pyattach_attached outer, nested;
    pyattach_detached inside;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&inside) == PYATTACH_OK);
    pyattach_attached_end(&nested);
}
TEST_CASE("ending a nested scope while a detached one is open inside it aborts") {
    check_aborts("end a nested scope before a detached one inside it",
                 {"pyattach_attached_end", "still open", "innermost"});
}

CHILD("end an attached scope inside a forbidden one") {
    start_python();
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    forbidden traverse;
    pyattach_attached_end(&scope);
}
CHILD("end an attached scope after other code detached the thread") {
    start_python();
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    foreign_detach gap;
    pyattach_attached_end(&scope);
}
CHILD("end an attached scope inside a detached one") {
    start_python();
    pyattach_attached scope;
    pyattach_detached gap;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    pyattach_attached_end(&scope);
}
TEST_CASE("ending an attached scope where the thread is not attached by it aborts") {
    check_aborts("end an attached scope inside a forbidden one", {"pyattach_attached_end", "forbidden"});
    check_aborts("end an attached scope after other code detached the thread",
                 {"pyattach_attached_end", "not attached"});
    check_aborts("end an attached scope inside a detached one", {"pyattach_attached_end", "inside it"});
}

// --- Detached scopes (ended out of order: conformance, "ext: detached scopes closed out of order") ---

CHILD("end a detached scope twice") {
    start_python();
    attached outer;
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
    end_in_vain(&gap);
}
CHILD("end a detached scope that was refused") {
    start_python();
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_NOT_ATTACHED);
    end_in_vain(&gap);
}
CHILD("end a detached scope that was never begun") {
    start_python();
    attached outer;
    pyattach_detached gap;
    std::memset(&gap, 0, sizeof gap);
    end_in_vain(&gap);
}
CHILD("end a detached scope in another place") {
    start_python();
    attached outer;
    pyattach_detached gap, copy;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    copy = gap;
    end_in_vain(&copy);
}
CHILD("end a detached scope twice where other code attached the thread") {
    start_python();
    run_on_thread([] {
        foreign_attach there;
        { detached first; }
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
        end_in_vain(&gap);
    });
}
CHILD("end a detached scope before an attached one inside it, where other code attached the thread") {
    start_python();
    run_on_thread([] {
        foreign_attach there;
        { detached first; }
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        foreign_attach again;
        pyattach_attached nested;
        EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
        end_in_vain(&gap);
    });
}
TEST_CASE("ending a detached scope that is not open aborts") {
    check_aborts("end a detached scope twice where other code attached the thread",
                 {"pyattach_detached_end", "ended already", "once"});
    check_aborts("end a detached scope before an attached one inside it, where other code attached the thread",
                 {"pyattach_detached_end", "another scope is still open inside"});
    check_aborts("end a detached scope twice", {"pyattach_detached_end", "ended already", "once"});
    check_aborts("end a detached scope that was refused", {"pyattach_detached_end", "refused", "status"});
    check_aborts("end a detached scope that was never begun", {"pyattach_detached_end", "not a detached scope"});
    check_aborts("end a detached scope in another place", {"pyattach_detached_end"});
}

CHILD("end a detached scope on another thread") {
    start_python();
    attached outer;
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    run_on_thread([&] { end_in_vain(&gap); });
}
CHILD("end a detached scope on another attached thread") {
    start_python();
    attached outer;
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    run_on_thread([&] {
        attached here;
        end_in_vain(&gap);
    });
}
CHILD("end a detached scope inside a forbidden one") {
    start_python();
    attached outer;
    pyattach_detached gap;
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    forbidden traverse;
    end_in_vain(&gap);
}
TEST_CASE("ending a detached scope on another thread, or inside a forbidden scope, aborts") {
    check_aborts("end a detached scope on another thread", {"pyattach_detached_end", "another thread"});
    check_aborts("end a detached scope on another attached thread", {"pyattach_detached_end", "another thread"});
    check_aborts("end a detached scope inside a forbidden one", {"pyattach_detached_end", "forbidden"});
}

// --- Forbidden scopes ---

CHILD("end forbidden scopes out of order") {
    pyattach_forbidden outer, inner;
    pyattach_forbidden_begin(&outer);
    pyattach_forbidden_begin(&inner);
    pyattach_forbidden_end(&outer);
}
CHILD("end a forbidden scope twice") {
    pyattach_forbidden scope;
    pyattach_forbidden_begin(&scope);
    pyattach_forbidden_end(&scope);
    pyattach_forbidden_end(&scope);
}
CHILD("end a forbidden scope that was never begun") {
    pyattach_forbidden scope;
    std::memset(&scope, 0, sizeof scope);
    pyattach_forbidden_end(&scope);
}
CHILD("end a forbidden scope on another thread") {
    pyattach_forbidden scope;
    pyattach_forbidden_begin(&scope);
    run_on_thread([&] { pyattach_forbidden_end(&scope); });
}
CHILD("end a forbidden scope on another thread that is in one of its own") {
    pyattach_forbidden scope;
    pyattach_forbidden_begin(&scope);
    run_on_thread([&] {
        forbidden own;
        pyattach_forbidden_end(&scope);
    });
}
TEST_CASE("ending a forbidden scope out of order, twice, unbegun or on another thread aborts") {
    check_aborts("end forbidden scopes out of order", {"pyattach_forbidden_end", "innermost first"});
    check_aborts("end a forbidden scope twice", {"pyattach_forbidden_end", "not an open forbidden scope", "once"});
    check_aborts("end a forbidden scope that was never begun", {"pyattach_forbidden_end"});
    check_aborts("end a forbidden scope on another thread", {"pyattach_forbidden_end", "thread"});
    check_aborts("end a forbidden scope on another thread that is in one of its own",
                 {"pyattach_forbidden_end", "thread"});
}
