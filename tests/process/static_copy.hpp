// The functions of one copy of the library. A process may hold several copies.
#pragma once

#include "pyattach/pyattach.h"

struct copy_of_library {
    decltype(&pyattach_attached_begin) attached_begin;
    decltype(&pyattach_attached_end) attached_end;
    decltype(&pyattach_detached_begin) detached_begin;
    decltype(&pyattach_detached_end) detached_end;
    decltype(&pyattach_is_attached) is_attached;
    decltype(&pyattach_attach_depth) attach_depth;
    decltype(&pyattach_decref) decref;
    decltype(&pyattach_pool_size) pool_size;
    decltype(&pyattach_interpreter_main) interpreter_main;
    decltype(&pyattach_exit_callback_add) exit_callback_add;
    decltype(&pyattach_set_exit_timeout) set_exit_timeout;
    decltype(&pyattach_eval) eval;
    decltype(&pyattach_stats_get) stats_get;
};

// Inline and hidden, so that each module that uses it names its own.
__attribute__((visibility("hidden"))) inline copy_of_library functions_of_this_copy() {
    return {pyattach_attached_begin,   pyattach_attached_end,      pyattach_detached_begin,   pyattach_detached_end,
            pyattach_is_attached,      pyattach_attach_depth,      pyattach_decref,           pyattach_pool_size,
            pyattach_interpreter_main, pyattach_exit_callback_add, pyattach_set_exit_timeout, pyattach_eval,
            pyattach_stats_get};
}
