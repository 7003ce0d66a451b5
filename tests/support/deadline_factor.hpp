// How much slower than usual everything is, as with valgrind: multiplies every deadline. tools/matrix --patience says
// so in the environment, as PYATTACH_TEST_PATIENCE.
#pragma once

#include <cstdlib>

namespace support {

inline int deadline_factor() {
    const char *given = std::getenv("PYATTACH_TEST_PATIENCE");
    int factor = given ? std::atoi(given) : 1;
    return factor > 1 ? factor : 1;
}

} // namespace support
