// Where CPython keeps the answers to the questions asked most often, and whether this one does.
#include "cpython/layout.hpp"

#include "platform/loader.hpp"

namespace pyattach::cpython {
namespace {

// From the headers of each version; the same on free-threaded builds, where all pointers have 8 bytes.
constexpr places known[] = {
    {0x0309, 88, 568, counting::in_64_bits}, {0x030a, 88, 568, counting::in_64_bits},
    {0x030b, 96, 576, counting::in_64_bits}, {0x030c, 96, 0, counting::in_32_bits},
    {0x030d, 112, 0, counting::in_32_bits},  {0x030e, 112, 0, counting::in_32_bits},
    {0x030f, 136, 0, counting::in_32_bits},
};

thread_state *const *thread_local_at(size_t module, size_t offset) noexcept {
    const size_t index[2] = {module, offset};
    return static_cast<thread_state *const *>(python().thread_local_at(index));
}

} // namespace

bool is_exception_at(unsigned exception) noexcept {
    const table &py = python();
    auto *const at = reinterpret_cast<const object *const *>(reinterpret_cast<const char *>(py.current()) + exception);
    kept_error kept;
    return guarded([&py, at] {
        bool is_right = !peek(at);
        py.incref(*py.type_error);
        py.error_restore(*py.type_error, nullptr, nullptr);
        is_right = is_right && peek(at);
        py.error_clear();
        return is_right && !peek(at);
    });
}

bool is_current_at(thread_state *const *where) noexcept {
    const table &py = python();
    thread_state *const tstate = py.current();
    bool is_right = peek(where) == tstate;
    save(py);
    is_right = is_right && peek(where) != tstate;
    restore(py, tstate);
    return is_right && peek(where) == tstate;
}

bool is_counted(counting how) noexcept {
    const table &py = python();
    kept_error kept;
    return guarded([&py, how] {
        object *const obj = py.dict_new();
        if (!obj) {
            py.error_clear();
            return false;
        }
        // Of the only reference nothing is taken; of two, one.
        bool is_right = !decref_fast(how, obj);
        py.incref(obj);
        if (!decref_fast(how, obj)) {
            is_right = false;
            py.decref(obj);
        }
        is_right = is_right && !decref_fast(how, obj);
        py.decref(obj);
        return is_right && (how != counting::in_32_bits || peek(short_count(py.none)) < 0);
    });
}

bool find_current(size_t (&index)[2]) noexcept {
    const table &py = python();
    const thread_state *const tstate = py.current();
    const auto *code = reinterpret_cast<const void *>(py.save);
    loader::thread_locals locals;
    if (!py.thread_local_at || !loader::find_thread_locals(code, locals))
        return false;
    // Code that reaches its thread-locals through TLS descriptors (always on arm64) never has the linker note where
    // this thread's are; asking for one of them does.
    if (!locals.begin && locals.module) {
        thread_local_at(locals.module, 0);
        loader::find_thread_locals(code, locals);
    }
    if (!locals.begin)
        return false;
    // Others keep the same state while the thread is detached, such as what PyGILState looks at from 3.15.
    unsigned found = 0;
    for (uintptr_t at = (locals.begin + sizeof(void *) - 1) & -sizeof(void *); at + sizeof(void *) <= locals.end;
         at += sizeof(void *)) {
        auto *where = reinterpret_cast<thread_state *const *>(at);
        if (peek(where) != tstate || !is_current_at(where))
            continue;
        index[0] = locals.module;
        index[1] = at - locals.begin;
        ++found;
    }
    // On some machines __tls_get_addr counts from elsewhere.
    return found == 1 && reinterpret_cast<uintptr_t>(thread_local_at(index[0], index[1])) == locals.begin + index[1];
}

void trust_layout() noexcept {
    const table &py = python();
    if (is_layout_trusted() || py.debug || sizeof(void *) != 8)
        return;
    for (const places &where : known) {
        if (where.minor != py.version_hex >> 16 || !is_exception_at(where.exception))
            continue;
        if (where.current) {
            if (!py.runtime)
                continue; // GCOVR_EXCL_LINE: every Python so far exports it
            auto *shared = reinterpret_cast<thread_state *const *>(py.runtime + where.current);
            if (!is_current_at(shared))
                continue; // GCOVR_EXCL_LINE: no Python so far is built so that it stands elsewhere
            trusted.shared.store(shared, std::memory_order_relaxed);
        } else {
            size_t index[2];
            if (!find_current(index))
                continue;
            trusted.module.store(index[0], std::memory_order_relaxed);
            trusted.offset.store(index[1], std::memory_order_relaxed);
        }
        if (!py.free_threaded && is_counted(where.counting))
            trusted.counting.store(where.counting, std::memory_order_relaxed);
        trusted.exception_at.store(where.exception, std::memory_order_release);
    }
}

thread_state *const *current_at() noexcept {
    if (!is_layout_trusted())
        return &unknown;
    if (thread_state *const *shared = trusted.shared.load(std::memory_order_relaxed))
        return shared;
    return thread_local_at(trusted.module.load(std::memory_order_relaxed),
                           trusted.offset.load(std::memory_order_relaxed));
}

layout trusted;
thread_state *const unknown = nullptr;

} // namespace pyattach::cpython
