// Housekeeping on, for tests of it: the tests' main() switches it off. And which threads the kernel knows.
#pragma once

#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <string>
#include <sys/types.h>

#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

namespace support {

class housekeeping {
  public:
    explicit housekeeping(long long delay_ns = 20000000) {
        pyattach_set_release_delay(delay_ns);
        pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_AUTO);
    }
    housekeeping(const housekeeping &) = delete;
    housekeeping &operator=(const housekeeping &) = delete;
    ~housekeeping() { pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF); }
};

// The library's own thread, by its name; 0: there is none.
inline pid_t housekeeping_thread() {
    pid_t found = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (const dirent *task = tasks ? readdir(tasks) : nullptr) {
        std::ifstream file(std::string("/proc/self/task/") + task->d_name + "/comm");
        std::string name;
        if (std::getline(file, name) && name == "pyattach")
            found = static_cast<pid_t>(std::atoi(task->d_name));
    }
    if (tasks)
        closedir(tasks);
    return found;
}

inline std::uint64_t released_from_pools() { return all_counters().drops_released; }

} // namespace support
