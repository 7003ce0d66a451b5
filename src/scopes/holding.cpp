// Holding: a hold of a named or of the main interpreter, and whether the end of one has begun.
#include "scopes/holding.hpp"

#include "scopes/attached.hpp"

namespace pyattach {

status begin_hold(hold &begun, interpreter *interp, const char *label) noexcept {
    // An interpreter without an exit hook would not wait for the hold.
    if (!interp)
        if (status refused = attached::find_main(interp)) {
            begun.tag = tag::refused;
            return refused;
        }
    return begin_hold_of(begun, *interp, label);
}

bool is_ending(const interpreter *interp) noexcept {
    if (!interp)
        interp = main_interpreter();
    if (interp)
        return interp->gate.now() != gate::open;
    // There is no record between the end of one Python and the first use of the next one.
    return has_main_ended.load(std::memory_order_acquire) && !cpython::python().is_initialized();
}

} // namespace pyattach
