// The jobs of peers whose guards are types of C++'s: they attach or detach as long as an object of theirs lives.
#pragma once

#include "peers.hpp"

// A source that is compiled twice defines one peer each time: NAME_routed with BENCH_ROUTED, and else NAME_peer. `make`
// makes it of a name for the tables.
#ifdef BENCH_ROUTED
#define BENCH_PEER(name, text, make) const peer name##_routed = make(text ", routed")
#else
#define BENCH_PEER(name, text, make) const peer name##_peer = make(text)
#endif

namespace bench {

template <class Guard> void guard(long n) {
    for (; n; --n)
        Guard here;
}

// `Call` calls a function.
template <class Attached, auto Call> void guard_call(object *function, long n) {
    for (; n; --n) {
        Attached here;
        Call(function);
    }
}

template <class Attached, class Detached, auto Call> peer peer_of_guards(const char *name) {
    peer it = {name};
    it.nested = it.attach = guard<Attached>;
    it.detach = guard<Detached>;
    it.call = guard_call<Attached, Call>;
    return it;
}

} // namespace bench
