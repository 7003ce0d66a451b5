// Follow: routes what is loaded, and what is loaded later.
#pragma once

#include "preload/route.hpp"

namespace pyattach::preload {

// What the functions below use. Called once, before them.
void use(const route_table &routes) noexcept;

// Routes the objects that the patterns choose (see choice.hpp), and from now on each one of them that is loaded. Those
// that are routed already stay so. False: no memory, or a word could not be replaced; others may be.
bool start(const char *only, const char *except);
// Undoes it, and ends the following.
bool stop() noexcept;
// To be called after something was loaded. Keeps errno.
void follow();

// Where the call of this route goes that is not routed; NULL: there is no CPython yet.
void *plain(unsigned route) noexcept;

// Whether CPython was found in this process.
bool has_found_python() noexcept;

// The object of this number, of those that are routed now. False: there are not so many.
struct routed_object {
    char path[4096];
    unsigned words, routes;
};
bool describe(unsigned number, routed_object &out) noexcept;

} // namespace pyattach::preload
