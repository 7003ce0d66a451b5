// How much memory this process has, and whether the run is a long one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include "support/expect.hpp"

namespace support {

inline std::int64_t resident_bytes() {
    long total = 0, resident = 0;
    std::FILE *file = std::fopen("/proc/self/statm", "re");
    EXPECT(file && std::fscanf(file, "%ld %ld", &total, &resident) == 2);
    std::fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

inline bool is_full_run() {
    const char *full = std::getenv("PYATTACH_TEST_FULL");
    return full && *full == '1';
}

} // namespace support
