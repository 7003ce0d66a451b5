// An extension module's own copy of the library: linked statically, its names hidden, given out as a table.
#include "static_copy.hpp"

extern "C" __attribute__((visibility("default"))) const copy_of_library *copy() {
    static const copy_of_library functions = functions_of_this_copy();
    return &functions;
}
