// Debug offsets: the table at the beginning of _PyRuntime.
#include "cpython/debug_offsets.hpp"

#include <cstdint>
#include <cstring>

#include "cpython/layout.hpp"

namespace pyattach::cpython {
namespace {

// The beginning of _Py_DebugOffsets (Include/internal/pycore_debug_offsets.h; in 3.13 pycore_runtime.h), as far as no
// version has changed it.
struct known_part {
    char cookie[8];
    uint64_t version;
    uint64_t free_threaded;
    uint64_t runtime_size, finalizing, interpreters_head;
    uint64_t interpreter_size, id, next, threads_head;
    // From 3.14 on `threads_main`. Then the same again in every version:
    uint64_t rest[8];
};
enum in_rest { gc, imports_modules, sysdict, builtins, ceval_gil, gil_runtime_state, gil_runtime_state_enabled };

} // namespace

bool is_gil_enabled(const interp_state *interp, bool unless_known) noexcept {
    const table &py = python();
    const unsigned minor = py.version_hex >> 16;
    const bool has_threads_main = minor >= 0x030e;
    if (!py.free_threaded)
        return true;
    if (!py.runtime || minor < 0x030d || minor > 0x030f)
        return unless_known;
    const auto *offsets = reinterpret_cast<const known_part *>(py.runtime);
    if (std::memcmp(offsets->cookie, "xdebugpy", sizeof offsets->cookie) != 0 || offsets->version != py.version_hex ||
        !offsets->free_threaded)
        return unless_known;
    const uint64_t *rest = offsets->rest + has_threads_main;
    const auto *base = reinterpret_cast<const char *>(interp);
    const char *gil = peek(reinterpret_cast<const char *const *>(base + rest[ceval_gil]));
    return gil ? peek(reinterpret_cast<const int *>(gil + rest[gil_runtime_state_enabled])) != 0 : unless_known;
}

} // namespace pyattach::cpython
