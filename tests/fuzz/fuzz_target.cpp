// The same machines for libFuzzer: two threads, each told by its part of the input what to call. Made with -Dfuzz=true
// and Clang; tools/fuzz builds and runs it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "fuzz/world.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace {

// Lives as long as the process: other than the tests', this one ends without ending Python.
fuzz::world &here() {
    static auto *const all = new fuzz::world;
    return *all;
}

void play(fuzz::source &from) {
    fuzz::machine mine(here(), from);
    try {
        while (!from.is_over())
            mine.step();
        mine.settle();
    } catch (const support::failure &what) {
        std::fprintf(stderr, "%s\n%s\n", what.what(), mine.trail().c_str());
        std::abort(); // libFuzzer keeps the input
    }
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    fuzz::loads(here());
    fuzz::starts(here());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    const size_t part = 1 + std::min<size_t>(data[0], size - 1);
    fuzz::bytes ours(data + 1, part - 1), theirs(data + part, size - part);
    {
        support::task other("the other thread to end", [&] { play(theirs); });
        support::task one("the one thread to end", [&] { play(ours); });
    }
    try {
        fuzz::checks(here());
    } catch (const support::failure &what) {
        std::fprintf(stderr, "%s\n", what.what());
        std::abort();
    }
    return 0;
}
