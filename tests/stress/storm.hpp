// The storm: native threads use Python without pause while the main thread ends it after a random time.
//
// One process is one run. Eight workers attach, call, keep references, detach and drop them; two sitters spend their
// time detached; one daemon thread of Python's own calls back into native code. Everything random follows from the
// seed, so a run can be repeated, as far as a race can. The same storm exists twice: once with the library
// (storm_attached.cpp), once with nothing but PyGILState_* and every check that it allows (storm_gilstate.cpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "support/plain_python.hpp"

namespace storm {

constexpr int workers = 8, sitters = 2, natives = workers + sitters;

// splitmix64: small, and the same everywhere.
class dice {
  public:
    explicit dice(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next();
    unsigned below(unsigned limit) { return static_cast<unsigned>(next() % limit); }

  private:
    std::uint64_t state_;
};

// Counts of the references to Python objects that native code kept. Each object is a capsule, whose destructor counts.
struct references {
    std::atomic<std::uint64_t> kept{0}, given_back{0}, died{0};
};
extern references counts;

// A new object with one reference, to be given back. Attached.
plain::object *new_object();

// Reports what must not happen on a native thread.
void complain(const std::string &what);

// Opens when Python has ended; for sitters that stay away until then.
void wait_for_the_end();

// --- What each of the two storms provides ---

// Starts Python, and detaches.
void begin(dice &);
// What a native thread does until it is refused or sees that Python ends.
void work(dice &);
void sit(dice &);
// What the daemon thread calls, attached.
void called_by_daemon();
// Ends Python; 0, or what went wrong.
int end(dice &);
// How long threads have to come to their own end after Python's.
int patience_ms();
// Anything else worth a `key=value `.
std::string summary();

} // namespace storm
