// Acts: sub-interpreters that are made and ended while native threads attach to them.
#include <utility>

#include "soak/soak.hpp"
#include "support/sub_interpreter.hpp"

namespace soak {
namespace {

using support::sub_interpreter;

sub_interpreter *made[most_subs];

// In a fork child there are none: CPython does not fork while there is one.
bool may_visit(const actor &me) { return !me.is_in_child; }

bool visit(actor &me) {
    pyattach_interpreter *const there = on_stage().subs[me.below(most_subs)];
    if (!there)
        return true;
    const bool was_in_sub = me.is_in_sub;
    pyattach_interpreter *const before = pyattach_interpreter_current();
    me.is_in_sub = true;
    const bool is_alive = attach_and_play(me, there);
    me.is_in_sub = was_in_sub;
    // The other interpreter may have ended; the one further out goes on.
    if (!is_alive && before && !pyattach_is_attached())
        return false;
    HOLDS(pyattach_interpreter_current() == before);
    return true;
}

void end_sub(actor &me, unsigned which) {
    me.note("ends a sub-interpreter");
    pyattach_interpreter *const handle = on_stage().subs[which].exchange(nullptr);
    made[which]->end();
    delete std::exchange(made[which], nullptr);
    on_stage().ended = handle;
    ++on_stage().subs_ended;
}

} // namespace

void change_subs(actor &me) {
    const unsigned which = me.below(most_subs);
    if (made[which]) {
        end_sub(me, which);
    } else {
        me.note("makes a sub-interpreter");
        const bool own = support::has_own_gils() && me.one_in(2);
        made[which] = new sub_interpreter(own ? sub_interpreter::own_gil : sub_interpreter::legacy);
        on_stage().subs[which] = made[which]->handle();
    }
}

void end_subs(actor &me) {
    for (unsigned which = 0; which < most_subs; ++which)
        if (made[which])
            end_sub(me, which);
}

const std::vector<act> interpreter_acts = {
    {"visit a sub-interpreter", 6, visit, may_visit},
};

} // namespace soak
