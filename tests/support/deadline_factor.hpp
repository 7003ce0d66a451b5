// The factor by which every deadline is multiplied, for slow runs as under valgrind. tools/matrix --patience sets it in
// the environment, as PYATTACH_TEST_PATIENCE.
#pragma once

#include <cstdlib>

namespace support {

inline int deadline_factor() {
    const char *given = std::getenv("PYATTACH_TEST_PATIENCE");
    int factor = given ? std::atoi(given) : 1;
    return factor > 1 ? factor : 1;
}

} // namespace support
