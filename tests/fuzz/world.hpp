// What the machines share, life by life.
#pragma once

#include "fuzz/machine.hpp"

namespace fuzz {

void loads(world &);
// Starts Python, makes what the machines need, and takes over what they leave. On the main thread, detached.
void starts(world &);
// The second half of that, in a Python that runs. Detached.
void furnishes(world &);
// Looks whether all references came back: after the machines have settled. Attaches.
void checks(world &);
// The same, and ends it: each exit callback is called once.
void ends(world &);

void add(tally &sum, const tally &one);
// Whether the library counted what the machines did. Only for a process in which nobody else calls it.
void expect_counted(const world &, const tally &);

} // namespace fuzz
