// Loading: what dlopen and dlmopen are routed to.
#include "preload/loading.hpp"

#include "platform/loader_call.hpp"
#include "preload/follow.hpp"

namespace pyattach::preload {
namespace {

void *followed(void *handle) {
    if (handle) {
        follow();
        loader::clear_error(); // one of ours: the call of the program has not failed
    }
    return handle;
}

} // namespace

void *load(const char *name, int flags, const void *caller) { return followed(loader::open_for(caller, name, flags)); }
void *load_into(long name_space, const char *name, int flags) {
    return followed(loader::open_into(name_space, name, flags));
}

} // namespace pyattach::preload
