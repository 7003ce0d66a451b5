// Threads: what each thread does, in the caller's array.
#include "host/threads.hpp"

#include <algorithm>
#include <cstring>

#include "base/diagnostics.hpp"
#include "core/interpreter.hpp"
#include "core/thread_list.hpp"
#include "platform/kept_errno.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {
namespace {

// The caller's array. Its elements are as long as the caller knows them, which may be shorter or longer than here.
struct destination {
    char *at;
    size_t room, struct_size, count;
    const since_clock *clock;
};

void write(const listed_thread &thread, void *arg) noexcept {
    destination &to = *static_cast<destination *>(arg);
    if (to.count++ >= to.room)
        return;
    pyattach_thread_info info = {};
    info.struct_size = to.struct_size;
    info.native_id = thread.native_id;
    info.interpreter = reinterpret_cast<pyattach_interpreter *>(thread.interp);
    info.state = thread.state;
    info.is_warm = thread.is_warm;
    info.detached_by_other_code = thread.by_other_code;
    info.since_ns = to.clock->ns(thread.since);
    std::memcpy(info.label, thread.label, sizeof info.label);
    std::memcpy(to.at + (to.count - 1) * to.struct_size, &info, std::min(to.struct_size, sizeof info));
}

} // namespace

size_t get_threads(pyattach_thread_info *array, size_t n) noexcept {
    static refusal_site no_size;
    const kept_errno kept;
    const size_t struct_size = array && n ? array->struct_size : 0;
    if (array && n && !struct_size)
        (void)refused(PYATTACH_INVALID, no_size,
                      "pyattach_threads_get: struct_size of the first element is zero. It says which members the "
                      "caller knows, and how far apart the elements are. Set it to sizeof(pyattach_thread_info).");
    const since_clock clock(-1);
    destination to = {reinterpret_cast<char *>(array), struct_size ? n : 0, struct_size, 0, &clock};
    for_each_thread(-1, write, &to);
    // The names are read from files, which no thread has to wait for.
    constexpr size_t name_at = offsetof(pyattach_thread_info, name);
    for (size_t i = 0; struct_size > name_at && i < std::min(n, to.count); ++i) {
        pyattach_thread_info info;
        std::memcpy(&info, to.at + i * struct_size, name_at);
        name_of(static_cast<pid_t>(info.native_id), info.name);
        std::memcpy(to.at + i * struct_size + name_at, info.name, std::min(struct_size - name_at, sizeof info.name));
    }
    return to.count;
}

} // namespace pyattach
