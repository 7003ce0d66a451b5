// Layout: the known places of each version, and their checks.
#include "cpython/layout.hpp"

#include "cpython/exception.hpp"
#include "platform/loader.hpp"

namespace pyattach::cpython {
namespace {

struct known_layout {
    unsigned minor;     // 0x030d stands for all versions 3.13
    unsigned exception; // offsetof(PyThreadState, current_exception); up to 3.11 of curexc_type
    unsigned id;        // offsetof(PyThreadState, id); 0 where nothing reads it
    unsigned current;   // up to 3.11: offsetof(_PyRuntimeState, gilstate.tstate_current); later 0: a thread-local
    unsigned state;     // offsetof(PyThreadState, state); 0: no free-threaded build has this version
    cpython::counting counting; // on builds that are not free-threaded
    unsigned counter;           // offsetof(PyThreadState, gilstate_counter)
};

// From the headers of each version, for pointers of 8 bytes. Free-threaded builds have the same offsets.
constexpr known_layout known_layouts[] = {
    {0x0309, 88, 256, 568, 0, counting::in_64_bits, 160}, {0x030a, 88, 256, 568, 0, counting::in_64_bits, 160},
    {0x030b, 96, 240, 576, 0, counting::in_64_bits, 136}, {0x030c, 96, 224, 0, 0, counting::in_32_bits, 120},
    {0x030d, 112, 224, 0, 40, counting::in_32_bits, 136}, {0x030e, 112, 0, 0, 44, counting::in_32_bits, 136},
    {0x030f, 136, 0, 0, 48, counting::in_32_bits, 160},
};

thread_state *const *thread_local_at(size_t module, size_t offset) noexcept {
    const size_t index[2] = {module, offset};
    return static_cast<thread_state *const *>(python().thread_local_at(index));
}

} // namespace

bool is_interp_in_place() noexcept {
    thread_state *const tstate = python().current();
    return interp_in(tstate) == python().interp_of(tstate);
}

bool is_id_at(unsigned offset) noexcept {
    thread_state *const tstate = python().current();
    return peek(reinterpret_cast<const uint64_t *>(reinterpret_cast<const char *>(tstate) + offset)) ==
           python().tstate_id(tstate);
}

bool is_exception_at(unsigned offset) noexcept {
    const table &py = python();
    auto *const at = reinterpret_cast<const object *const *>(reinterpret_cast<const char *>(py.current()) + offset);
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

bool is_current_at(thread_state *const *at) noexcept {
    const table &py = python();
    thread_state *const tstate = py.current();
    bool is_right = peek(at) == tstate;
    save(py);
    is_right = is_right && peek(at) != tstate;
    restore(py, tstate);
    return is_right && peek(at) == tstate;
}

bool is_state_at(unsigned offset) noexcept {
    constexpr int detached = 0, attached = 1, suspended = 2; // _Py_THREAD_DETACHED, ...
    const table &py = python();
    thread_state *const tstate = py.current();
    auto *const at = reinterpret_cast<const int *>(reinterpret_cast<const char *>(tstate) + offset);
    const bool is_right = peek(at) == attached;
    save(py);
    const int state = peek(at);
    restore(py, tstate);
    return is_right && (state == detached || state == suspended) && peek(at) == attached;
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
        // decref_fast must refuse the only reference, and give back one of two.
        bool is_right = !decref_fast(how, obj);
        py.incref(obj);
        if (!decref_fast(how, obj)) {
            is_right = false;
            py.decref(obj);
        }
        is_right = is_right && !decref_fast(how, obj);
        py.decref(obj);
        return is_right && (how != counting::in_32_bits || peek(refcount_32(py.none)) < 0);
    });
}

bool find_current(size_t (&index)[2]) noexcept {
    const table &py = python();
    const thread_state *const tstate = py.current();
    const auto *code = reinterpret_cast<const void *>(py.save);
    loader::thread_locals locals;
    if (!py.thread_local_at || !loader::find_thread_locals(code, locals))
        return false;
    // Where code reaches its thread-locals through TLS descriptors (always on arm64), the dynamic linker does not
    // record their address in this thread before __tls_get_addr is called for one of them.
    if (!locals.begin && locals.module) {
        thread_local_at(locals.module, 0);
        loader::find_thread_locals(code, locals);
    }
    if (!locals.begin)
        return false;
    // Other thread-locals hold the same tstate, but keep it while the thread is detached, such as the GILState slot
    // from 3.15.
    unsigned found = 0;
    for (uintptr_t at = (locals.begin + sizeof(void *) - 1) & -sizeof(void *); at + sizeof(void *) <= locals.end;
         at += sizeof(void *)) {
        auto *candidate = reinterpret_cast<thread_state *const *>(at);
        if (peek(candidate) != tstate || !is_current_at(candidate))
            continue;
        index[0] = locals.module;
        index[1] = at - locals.begin;
        ++found;
    }
    // On some machines __tls_get_addr adds the offset to another base.
    return found == 1 && reinterpret_cast<uintptr_t>(thread_local_at(index[0], index[1])) == locals.begin + index[1];
}

void trust_layout() noexcept {
    const table &py = python();
    if (is_layout_trusted() || py.debug || sizeof(void *) != 8)
        return;
    for (const known_layout &known : known_layouts) {
        if (known.minor != py.version_hex >> 16 || !is_interp_in_place() || !is_exception_at(known.exception))
            continue;
        if (known.id && !is_id_at(known.id))
            continue; // GCOVR_EXCL_LINE: no Python so far is built with another offset
        trusted.id_at.store(known.id, std::memory_order_relaxed);
        if (known.current) {
            if (!py.runtime)
                continue; // GCOVR_EXCL_LINE: every Python so far exports it
            auto *shared = reinterpret_cast<thread_state *const *>(py.runtime + known.current);
            if (!is_current_at(shared))
                continue; // GCOVR_EXCL_LINE: no Python so far is built with another offset
            trusted.shared.store(shared, std::memory_order_relaxed);
        } else {
            size_t index[2];
            if (!find_current(index))
                continue;
            trusted.module.store(index[0], std::memory_order_relaxed);
            trusted.offset.store(index[1], std::memory_order_relaxed);
        }
        if (py.free_threaded && known.state && is_state_at(known.state))
            trusted.state_at.store(known.state, std::memory_order_relaxed);
        if (!py.free_threaded && is_counted(known.counting))
            trusted.counting.store(known.counting, std::memory_order_relaxed);
        // Last, and with release: a thread that reads it with acquire reads the other fields as stored above.
        trusted.exception_at.store(known.exception, std::memory_order_release);
    }
}

void trust_counter() noexcept {
    const table &py = python();
    if (!is_layout_trusted() || trusted.counter_at.load(std::memory_order_relaxed))
        return;
    thread_state *const tstate = py.current();
    for (const known_layout &known : known_layouts) {
        if (known.minor != py.version_hex >> 16)
            continue;
        const int before = ensure_count(tstate, known.counter);
        // A thread that is attached with the tstate of the slot is only counted, so nothing waits or runs here.
        const bool is_right = guarded([&py, &known, tstate, before] {
            bool is_counted = true;
            for (int depth = 1; depth <= 2; ++depth) {
                py.gilstate_ensure();
                is_counted = is_counted && ensure_count(tstate, known.counter) == before + depth;
            }
            py.gilstate_release(0);
            py.gilstate_release(0);
            return is_counted && ensure_count(tstate, known.counter) == before;
        });
        if (is_right && before > 0)
            trusted.counter_at.store(known.counter, std::memory_order_relaxed);
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
