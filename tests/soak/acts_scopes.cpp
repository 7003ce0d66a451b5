// Acts: scopes inside one another, references, and handles of ended generations.
#include "soak/soak.hpp"
#include "support/python.hpp"

namespace soak {

namespace {

using support::cpython;

void died(object *) { ++on_stage().objects_died; }

} // namespace

// A capsule, so that its death is counted.
object *new_object() {
    static auto *const make = cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New");
    object *made = make(&on_stage(), "soak", died);
    HOLDS(made);
    ++on_stage().objects_made;
    return made;
}

bool attach_and_play(actor &me, pyattach_interpreter *interp) {
    pyattach_attached scope;
    const int was_attached = pyattach_is_attached();
    const pyattach_status status =
        interp ? pyattach_attached_begin_in(&scope, interp) : pyattach_attached_begin(&scope);
    HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
    if (status != PYATTACH_OK)
        return false;
    HOLDS(pyattach_is_attached());
    const bool is_alive = play_inside(me);
    me.note("ends the scope");
    pyattach_attached_end(&scope);
    if (!is_alive)
        return false;
    HOLDS(pyattach_is_attached() == was_attached);
    return true;
}

bool detach_and_play(actor &me) {
    pyattach_detached gap;
    const pyattach_status begun = pyattach_detached_begin(&gap);
    HOLDS_STATUS(begun, begun == PYATTACH_OK);
    HOLDS(!pyattach_is_attached());
    ++me.gaps;
    switch (me.below(me.depth > 3 ? 3 : 5)) {
    case 0:
        pause_us(me.below(300));
        break;
    case 1:
        me.give_one_back();
        break;
    case 2:
        me.give_all_back();
        pause_us(me.below(30));
        break;
    case 3: // attached inside a detached scope
        ++me.depth;
        (void)attach_and_play(me);
        --me.depth;
        break;
    default:
        ++me.depth;
        if (me.depth < 4)
            play_outer(me);
        --me.depth;
    }
    --me.gaps;
    me.note("attaches again");
    const pyattach_status status = pyattach_detached_end(&gap);
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_FINALIZING);
    return status == PYATTACH_OK;
}

namespace {

bool attach(actor &me) {
    (void)attach_and_play(me);
    // Some references are dropped now, on a detached thread; the others in later scopes.
    while (me.held.size() > me.below(12))
        me.give_one_back();
    return true;
}

bool nest(actor &me) {
    pyattach_attached scope;
    const pyattach_status status = pyattach_attached_begin(&scope);
    HOLDS_STATUS(status, status == PYATTACH_OK);
    const bool is_alive = play_inside(me);
    pyattach_attached_end(&scope);
    return is_alive;
}

bool make(actor &me) {
    for (unsigned i = me.below(me.one_in(50) ? 500 : 4); i > 0; --i)
        me.keep(new_object());
    return true;
}

bool give_back(actor &me) {
    me.give_one_back();
    return true;
}

bool drain(actor &) {
    const pyattach_status status = pyattach_pool_drain();
    HOLDS_STATUS(status, status == PYATTACH_OK);
    return true;
}

bool traverse(actor &me) {
    pyattach_forbidden scope;
    pyattach_attached refused;
    pyattach_forbidden_begin(&scope);
    HOLDS(!pyattach_is_attached() && pyattach_is_forbidden());
    HOLDS(pyattach_attached_begin(&refused) == PYATTACH_FORBIDDEN);
    me.give_one_back(); // queued
    pyattach_forbidden_end(&scope);
    return true;
}

bool pause_a_little(actor &me) {
    pause_us(me.below(me.one_in(20) ? 20000 : 400));
    return true;
}

bool ask(actor &me) {
    const int attached = pyattach_is_attached(), depth = pyattach_attach_depth();
    HOLDS(!attached || depth > 0 || me.is_in_child);
    (void)pyattach_pool_size();
    HOLDS((pyattach_interpreter_current() != nullptr) == (attached != 0));
    pyattach_stats all{};
    all.struct_size = sizeof all;
    pyattach_stats_get(&all);
    HOLDS(all.attaches + all.nested > 0 || depth == 0);
    if (me.one_in(3))
        (void)pyattach_interpreter_main();
    return true;
}

bool release_state(actor &me) {
    const pyattach_status status = pyattach_thread_release();
    HOLDS_STATUS(status, status == PYATTACH_OK || (status == PYATTACH_INVALID && me.depth > 0));
    return true;
}

bool use_old_handle(actor &) {
    pyattach_interpreter *const old = on_stage().ended;
    if (!old)
        return true;
    pyattach_attached scope;
    const pyattach_status status = pyattach_attached_begin_in(&scope, old);
    HOLDS_STATUS(status, is_refusal(status));
    pyattach_decref_in(old, reinterpret_cast<object *>(std::uintptr_t(64))); // leaked, not looked at
    return true;
}

bool change_settings(actor &me) {
    const std::size_t budgets[] = {1, 7, 256, 100000};
    pyattach_set_drain_budget(budgets[me.below(4)]);
    const long long delays[] = {0, 1000000, 100000000};
    pyattach_set_release_delay(delays[me.below(3)]);
    pyattach_set_housekeeping(me.one_in(4) ? PYATTACH_HOUSEKEEPING_OFF : PYATTACH_HOUSEKEEPING_AUTO);
    pyattach_set_thread_policy(me.one_in(4) ? PYATTACH_THREADS_SCOPED : PYATTACH_THREADS_WARM);
    return true;
}

} // namespace

const std::vector<act> scope_acts = {
    {"nest", 8, nest, always},
    {"detach", 12, detach_and_play, always},
    {"make objects", 10, make, always},
    {"give back", 6, give_back, always},
    {"drain", 2, drain, always},
    {"traverse", 2, traverse, always},
    {"pause attached", 1, pause_a_little, always},
    {"ask", 2, ask, always},
};

const std::vector<act> outer_scope_acts = {
    {"attach", 40, attach, always},
    {"pause", 12, pause_a_little, always},
    {"give back outside", 6, give_back, always},
    {"ask outside", 4, ask, always},
    {"release the state", 3, release_state, always},
    {"use an old handle", 2, use_old_handle, always},
    {"change settings", 1, change_settings, always},
};

} // namespace soak
