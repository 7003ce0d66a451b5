// A garbage-collected Python type made in C, whose tp_traverse and tp_clear the test provides.
#pragma once

#include <functional>

#include "support/python.hpp"

namespace support {

// CPython's visitor: calls back for one reference; not 0 stops the traversal.
using visit = std::function<int(object *)>;

struct traversed_behaviour {
    // For one instance, with the reference it holds (or NULL); returns what tp_traverse returns. Default: visits the
    // reference.
    std::function<int(object *held, const visit &)> traverse;
    // What happens to the reference in tp_clear and at the end. Default: pyattach_decref.
    std::function<void(object *held)> drop;
};

// Makes the type and publishes it in __main__ as `Holder`: `Holder(x)` holds one reference to x. One type at a time:
// the behaviour is that of the last call. Attached.
ref make_traversed_type(traversed_behaviour);

// In tp_traverse and tp_clear nothing may be thrown; a failure in there is kept here.
std::string traversed_failure();

} // namespace support
