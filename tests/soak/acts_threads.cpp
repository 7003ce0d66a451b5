// Acts: threads that end, in every way a native thread can.
#include <pthread.h>

#include "soak/soak.hpp"
#include "support/python.hpp"

namespace soak {
namespace {

// A fork child starts only the threads that it needs: each further thread is one that a further fork takes away.
bool is_in_parent(const actor &me) { return !me.is_in_child; }

enum class ending {
    returns,
    exits_outside,
    exits_in_scope,
    exits_in_nested,
    exits_detached,
    gives_back_late,
    attaches_late
};

struct errand {
    std::uint64_t seed;
    ending how;
};

// --- What runs when a thread has returned
// -----------------------------------------------------------------------------

// Destructors of C++'s thread-local objects run before those of pthread's keys, in whose first round the library's own
// runs at any place.
struct late {
    ~late() {
        if (!reference)
            return;
        if (attaches) {
            pyattach_attached scope;
            const pyattach_status status = pyattach_attached_begin(&scope);
            HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
            if (status == PYATTACH_OK)
                pyattach_attached_end(&scope);
        }
        pyattach_decref_in(home, reference);
        HOLDS(!pyattach_is_attached());
    }
    object *reference = nullptr;
    pyattach_interpreter *home = nullptr;
    bool attaches = false;
};
thread_local late at_end;

pthread_key_t make_key();
pthread_key_t key() {
    static const pthread_key_t made = make_key();
    return made;
}

struct rounds {
    held_reference held;
    int left;
    bool attaches;
};

// In each of several rounds of destructors.
void in_a_round(void *arg) {
    auto *own = static_cast<rounds *>(arg);
    if (own->attaches) {
        pyattach_attached scope;
        const pyattach_status status = pyattach_attached_begin(&scope);
        HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
    }
    if (--own->left > 0) {
        pthread_setspecific(key(), own);
        return;
    }
    pyattach_decref_in(own->held.interpreter, own->held.reference);
    delete own;
}

pthread_key_t make_key() {
    pthread_key_t made = 0;
    HOLDS(pthread_key_create(&made, in_a_round) == 0);
    return made;
}

void leave_for_later(actor &me, bool attaches) {
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        return;
    if (me.one_in(2)) {
        at_end.home = pyattach_interpreter_current();
        at_end.reference = new_object();
        at_end.attaches = attaches;
    } else {
        auto *own = new rounds{{new_object(), pyattach_interpreter_current()}, int(1 + me.below(3)), attaches};
        pthread_setspecific(key(), own);
    }
    pyattach_attached_end(&scope);
}

// --- Ends inside scopes, which the library notices
// --------------------------------------------------------------------

void exit_inside(actor &me, ending how) {
    pyattach_attached scope, nested;
    pyattach_detached gap;
    if (pyattach_attached_begin(&scope) != PYATTACH_OK)
        return;
    if (!play_inside(me))
        return; // inert
    if (how == ending::exits_in_nested)
        HOLDS(pyattach_attached_begin(&nested) == PYATTACH_OK);
    if (how == ending::exits_detached)
        HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    me.note("pthread_exit inside");
    pthread_exit(nullptr); // unwinds; the scope on this stack stays open
}

void *run(void *arg) {
    const errand task_data = *static_cast<errand *>(arg);
    delete static_cast<errand *>(arg);
    actor me("short thread", task_data.seed);
    for (unsigned i = me.below(4); i > 0; --i)
        play_outer(me);
    switch (task_data.how) {
    case ending::returns:
        break;
    case ending::exits_outside:
        pthread_exit(nullptr);
    case ending::exits_in_scope:
    case ending::exits_in_nested:
    case ending::exits_detached:
        exit_inside(me, task_data.how);
        break;
    case ending::gives_back_late:
    case ending::attaches_late:
        leave_for_later(me, task_data.how == ending::attaches_late);
    }
    return nullptr;
}

void start(actor &me, bool waits, ending how) {
    pthread_t thread;
    // Not too many at a time: they start threads, too.
    if (on_stage().actors_alive > 60)
        return;
    auto *own = new errand{me.new_seed(), how};
    // Not detached afterwards: see create() in src/platform/native_thread.cpp.
    pthread_attr_t attributes;
    HOLDS(pthread_attr_init(&attributes) == 0);
    pthread_attr_setdetachstate(&attributes, waits ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
    const bool is_made = pthread_create(&thread, &attributes, run, own) == 0;
    pthread_attr_destroy(&attributes);
    if (!is_made) {
        delete own;
        return;
    }
    ++on_stage().threads;
    if (waits)
        pthread_join(thread, nullptr);
}

bool start_and_go_on(actor &me) {
    start(me, me.one_in(2), me.one_in(3) ? ending::gives_back_late : ending::returns);
    return true;
}

bool end_late(actor &me) {
    start(me, me.one_in(2), ending::attaches_late);
    return true;
}

bool end_inside(actor &me) {
    const ending ways[] = {ending::exits_in_scope, ending::exits_in_nested, ending::exits_detached,
                           ending::exits_outside};
    start(me, me.one_in(2), ways[me.below(4)]);
    return true;
}

// From an attached thread: it must not wait attached.
bool start_from_inside(actor &me) {
    const bool waits = me.one_in(2);
    pyattach_detached gap;
    if (!waits) {
        start(me, false, ending::returns);
        return true;
    }
    HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    start(me, true, ending(me.below(2) ? unsigned(ending::gives_back_late) : 0u));
    return pyattach_detached_end(&gap) == PYATTACH_OK;
}

} // namespace

void run_short_thread(actor &me, bool waits) { start(me, waits, ending::returns); }

const std::vector<act> thread_acts = {
    {"start a thread from inside", 2, start_from_inside, is_in_parent},
};

const std::vector<act> outer_thread_acts = {
    {"start a thread", 4, start_and_go_on, is_in_parent},
    {"end late", 2, end_late, is_in_parent},
    {"end inside", 1, end_inside, is_in_parent},
};

} // namespace soak
