// Makes the n-th external call of the library fail: to the allocator, the threads library, the dynamic linker, the
// kernel or CPython. The executable interposes their functions; calls from other code pass unchanged.
#pragma once

#include <set>
#include <string>

namespace faults {

// What may be made to fail.
enum class of : unsigned { memory = 1, threads = 2, linker = 4, kernel = 8, python = 16, all = 31 };

// After `before` further calls that may fail, made on any thread, the next one fails, or all that follow.
enum class lasting { once, from_then_on };
void arm(int before, of which = of::all, lasting how_long = lasting::once);
// The name of what failed (first); NULL: there were not so many calls.
const char *disarm();

// Every call of this name fails until it is nullptr.
void always(const char *name);
int times_failed(); // since the last always()

// After `before` further calls of CPython's functions that may do so, made on any thread, the next one ends its thread
// as CPython up to 3.13.7 ends one that it refuses: without a thread state, and by unwinding its stack.
void end_thread_at(int before);
// The name of the function that did, once it has begun to; NULL: none has yet.
const char *ended_at();

// What has failed so far, and every function of CPython that can.
const std::set<std::string> &failed_so_far();
const std::set<std::string> &python_functions();

// Between the two halves: whether this call is the one, of each kind; and what the library is to get in place of a
// function of CPython's.
bool fails(of, const char *name);
bool ends_thread(const char *name);
void *in_place_of(const char *symbol, void *address);

} // namespace faults
