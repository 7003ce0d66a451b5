// Route: a function that other objects call, and what their calls reach instead.
#pragma once

namespace pyattach::preload {

struct route {
    const char *symbol;
    void *routed;
    // Where the calls go once routing has been undone, because what routed calls have opened has to be ended by this
    // library. NULL: where they went before.
    void *leaving;
    // The call loads objects, which are routed in turn. Also the calls of objects that are not routed themselves.
    bool loads;
};

// All routes, which capi/ lists. The place in the list is the route's number.
constexpr unsigned most_routes = 16;
struct route_table {
    const route *routes;
    unsigned count;
    // The object that defines this symbol is CPython, or the program that contains it.
    const char *cpython_symbol;
    // An object that defines this symbol is a copy of libpyattach.
    const char *own_symbol;
};

} // namespace pyattach::preload
