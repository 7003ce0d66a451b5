// Acts: holds, attaches with options, thread states made in advance, and the thread hook.
#include <pthread.h>

#include "soak/soak.hpp"
#include "support/python.hpp"

namespace soak {
namespace {

struct handed_over {
    pyattach_hold hold;
    unsigned wait_us;
};

void *end_elsewhere(void *arg) {
    auto *own = static_cast<handed_over *>(arg);
    pause_us(own->wait_us);
    pyattach_hold_end(&own->hold);
    delete own;
    return nullptr;
}

bool start_detached(void *(*function)(void *), void *arg) {
    pthread_attr_t attributes;
    pthread_t thread;
    HOLDS(pthread_attr_init(&attributes) == 0);
    HOLDS(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    const bool is_started = pthread_create(&thread, &attributes, function, arg) == 0;
    pthread_attr_destroy(&attributes);
    return is_started;
}

// Ended by this thread, after an attach that is let in even if the end has begun meanwhile; or by another one.
bool hold(actor &me) {
    auto *own = new handed_over{{}, me.below(300)};
    const pyattach_status status = pyattach_hold_begin(&own->hold, nullptr, me.one_in(2) ? "soak" : nullptr);
    HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
    if (status != PYATTACH_OK) {
        delete own;
        return true;
    }
    if (!me.is_in_child && me.one_in(2) && start_detached(end_elsewhere, own))
        return true;
    pause_us(own->wait_us);
    pyattach_attached scope;
    const pyattach_status let_in = pyattach_attached_begin(&scope);
    HOLDS_STATUS(let_in, let_in == PYATTACH_OK);
    pyattach_attached_end(&scope);
    pyattach_hold_end(&own->hold);
    delete own;
    return true;
}

// The object's destructor is not to run on the way in or back.
bool attach_with_options(actor &me) {
    pyattach_attached scope;
    const pyattach_attach_options options = {sizeof options, nullptr, int(me.below(2)),
                                             me.one_in(2) ? "options" : nullptr};
    const pyattach_status status = pyattach_attached_begin_with(&scope, &options);
    HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
    if (status != PYATTACH_OK)
        return true;
    (void)play_inside(me);
    pyattach_attached_end(&scope);
    return true;
}

bool prepare(actor &me) {
    const pyattach_status status = pyattach_thread_prepare();
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_UNSUPPORTED || is_refusal(status));
    (void)pyattach_interpreter_is_ending(nullptr);
    return !me.one_in(2) || attach_with_options(me);
}

void on_thread(pyattach_thread_event event, pyattach_interpreter *interp, void *arg) {
    HOLDS(arg == &on_stage());
    HOLDS((event == PYATTACH_THREAD_ATTACHED) == (interp != nullptr));
    HOLDS(!interp || pyattach_is_attached());
    if (interp)
        pyattach_decref_in(interp, new_object());
}

bool change_hook(actor &me) {
    pyattach_set_thread_hook(me.one_in(2) ? on_thread : nullptr, &on_stage());
    pyattach_set_thread_names(me.one_in(4));
    return true;
}

} // namespace

const std::vector<act> outer_hold_acts = {
    {"hold", 3, hold, always},
    {"attach with options", 6, attach_with_options, always},
    {"prepare", 3, prepare, always},
    {"change the thread hook", 1, change_hook, always},
};

} // namespace soak
