// Takes membarrier(2) away from this process, so that the two ways without it are run too. A seccomp filter does what a
// kernel or a container without the call does; it cannot be taken back.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace support {

// The same of another system call.
inline bool refuse_system_call(unsigned number) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog filter = {sizeof program / sizeof *program, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
inline bool refuse_membarrier() {
    return refuse_system_call(SYS_membarrier) && syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) < 0;
}

inline bool refused_later;

// "symmetric": refused from the start; "mprotect": refused once it was registered; "membarrier": as it is.
inline void choose_fences(const char *name) {
    bool is_immediate = std::strcmp(name, "symmetric") == 0;
    refused_later = std::strcmp(name, "mprotect") == 0;
    if (is_immediate && !refuse_membarrier()) {
        std::fprintf(stderr, "this system has no seccomp filters\n");
        std::exit(77);
    }
}
inline void fences_are_prepared() {
    if (refused_later && !refuse_membarrier()) {
        std::fprintf(stderr, "this system has no seccomp filters\n");
        std::exit(77);
    }
}

} // namespace support
