// Finalizer: a capsule, which every version has, and whose destructor CPython calls on an attached thread.
#include "objects/finalizer.hpp"

#include <new>

#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

const char capsule_name[] = "pyattach.finalizer";

struct finalizer {
    void (*function)(void *);
    void *arg;
};

// Not noexcept, because a thread may be ended in what the function calls. The memory is freed first, because the frames
// below are left then.
void on_end(object *capsule) {
    auto *kept = static_cast<finalizer *>(python().capsule_pointer(capsule, capsule_name));
    const finalizer last = *kept;
    delete kept;
    last.function(last.arg);
}

} // namespace

status from_finalizer(void (*const function)(void *), void *arg, object **result) noexcept {
    if (result)
        *result = nullptr;
    if (!function || !result)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    auto *kept = new (std::nothrow) finalizer{function, arg};
    if (!kept)
        return PYATTACH_NO_MEMORY;
    *result = guarded([kept] { return python().capsule_new(kept, capsule_name, on_end); });
    if (*result)
        return PYATTACH_OK;
    delete kept;
    return PYATTACH_PYTHON_ERROR;
}

} // namespace pyattach::call
