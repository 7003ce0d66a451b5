// What pyattach_threads_get and pyattach_report say, and threads with a name of their own to ask for.
#pragma once

#include <cerrno>
#include <cstring>
#include <pthread.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "pyattach/pyattach.h"
#include "support/expect.hpp"
#include "support/threads.hpp"

namespace support {

inline std::vector<pyattach_thread_info> thread_infos() {
    std::vector<pyattach_thread_info> all(pyattach_threads_get(nullptr, 0) + 64);
    all[0].struct_size = sizeof(pyattach_thread_info);
    all.resize(pyattach_threads_get(all.data(), all.size()));
    return all;
}

inline void name_this_thread(const std::string &name) { EXPECT(pthread_setname_np(pthread_self(), name.c_str()) == 0); }

inline bool is_listed(const std::string &name) {
    for (const pyattach_thread_info &info : thread_infos())
        if (info.name == name)
            return true;
    return false;
}

// Of the one thread with this name.
inline pyattach_thread_info info_of(const std::string &name) {
    pyattach_thread_info found = {};
    int count = 0;
    for (const pyattach_thread_info &info : thread_infos())
        if (info.name == name)
            found = info, ++count;
    EXPECT_SENTENCE(count == 1, std::to_string(count) + " threads are called " + name);
    return found;
}

inline const char *word_of(const pyattach_thread_info &info) {
    static const char *const words[] = {"idle", "waiting", "attached", "detached"};
    return info.detached_by_other_code ? "detached by other code" : words[info.state];
}
inline std::string state_of(const std::string &name) { return word_of(info_of(name)); }

// Until the thread is in this state, which it is about to be in for long.
inline void wait_until_it_is(const std::string &name, const char *state) {
    wait_until(("the thread " + name + " to be " + state).c_str(),
               [&] { return is_listed(name) && state_of(name) == state; });
}

// What pyattach_report writes. It keeps errno.
inline std::string report() {
    int ends[2];
    EXPECT(pipe(ends) == 0);
    errno = 77;
    pyattach_report(ends[1]);
    EXPECT(errno == 77);
    close(ends[1]);
    std::string text;
    char piece[512];
    for (ssize_t length; (length = read(ends[0], piece, sizeof piece)) > 0;)
        text.append(piece, static_cast<size_t>(length));
    close(ends[0]);
    return text;
}

inline void expect_in(const std::string &text, const std::string &part) {
    EXPECT_SENTENCE(text.find(part) != std::string::npos, "\"" + part + "\" is not in: " + text);
}

} // namespace support
