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
    // Whether tp_traverse visits the instance's type too, after the above, as a type made in C should from 3.9 on.
    bool visits_type = false;
};

// Makes the type and publishes it in __main__ as `Holder`: `Holder(x)` holds one reference to x. One type at a time:
// the behaviour is that of the last call. Attached.
ref make_traversed_type(traversed_behaviour);

// The type of an object, borrowed, without asking CPython, whose answer counts a reference: for tp_traverse.
object *type_without_counting(object *);

// In tp_traverse and tp_clear nothing may be thrown; a failure in there is kept here.
std::string traversed_failure();

} // namespace support
