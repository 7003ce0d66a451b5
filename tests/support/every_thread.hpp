// Something done on every kind of thread.
#pragma once

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// Runs `body` on this thread attached, on another thread attached, on the same detached, and on one that never
// attaches. `body` leaves the thread as it found it.
template <class Body> void on_every_kind_of_thread(Body body) {
    {
        attached here;
        body();
        EXPECT(cpython_says_attached());
    }
    run_on_thread([&] {
        attached there;
        body();
        EXPECT(cpython_says_attached());
        detached gap;
        body();
        EXPECT(!cpython_says_attached());
    });
    run_on_thread([&] {
        body();
        EXPECT(!cpython_says_attached());
    });
}

} // namespace support
