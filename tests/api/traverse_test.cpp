// Forbidden scopes in tp_traverse, called by the garbage collector.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/traversed.hpp"

using namespace support;

namespace {

// A Holder in a cycle with a list, which only the collector can find.
void make_garbage() { run("import gc; gc.collect(); gc.disable(); loop = []; loop.append(Holder(loop)); del loop"); }
void collect() { run("gc.collect(); gc.enable()"); }

} // namespace

TEST_CASE("a tp_traverse function is refused everything that would touch a reference count") {
    start_python();
    attached here;
    int asked = 0;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             ++asked;
                             pyattach_attached scope;
                             EXPECT(pyattach_attached_begin(&scope) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_attached_begin_unchecked(&scope) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_attached_assume(&scope) == PYATTACH_FORBIDDEN);
                             pyattach_detached gap;
                             EXPECT(pyattach_detached_begin(&gap) == PYATTACH_FORBIDDEN);
                             EXPECT(pyattach_is_attached() == 0);
                             EXPECT(!held || pyattach_incref(held) == PYATTACH_FORBIDDEN);
                             EXPECT(cpython_says_attached()); // which is why a mark of our own is needed
                             return visitor(held);
                         },
                         nullptr});
    make_garbage();
    collect();
    CHECK(traversed_failure() == "");
    CHECK(asked > 0);
    CHECK(pyattach_is_attached());
    CHECK_FALSE(pyattach_is_forbidden());
}

TEST_CASE("a traversal outside the collector is refused the same") {
    start_python();
    attached here;
    pyattach_status seen = PYATTACH_OK;
    make_traversed_type({[&](object *held, const visit &visitor) {
                             forbidden traverse;
                             pyattach_attached scope;
                             seen = pyattach_attached_begin(&scope);
                             return visitor(held);
                         },
                         nullptr});
    run("import gc; one = Holder('held')");
    CHECK(eval_true("'held' in gc.get_referents(one)"));
    CHECK(seen == PYATTACH_FORBIDDEN);
    run("del one");
}
