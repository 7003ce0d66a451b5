// Where CPython keeps the answers to the questions asked most often, as far as its headers say, and whether this one
// does.
#include "cpython_layout.hpp"

namespace pyattach::cpython {
namespace {

// From the headers of each version; the same on free-threaded builds, where all pointers have 8 bytes.
constexpr places known[] = {
    {0x0309, 0, 88, 568}, {0x030a, 0, 88, 568}, {0x030b, 0, 96, 576}, {0x030c, 24, 96, 0},
    {0x030d, 32, 112, 0}, {0x030e, 32, 112, 0}, {0x030f, 32, 136, 0},
};

thread_state *const *current_at(const places &where) noexcept {
    return reinterpret_cast<thread_state *const *>(python().runtime + where.current);
}

} // namespace

bool are_answers_at(const places &where) noexcept {
    const table &py = python();
    thread_state *const mine = py.current();
    if (!where.active && !py.runtime)
        return false;
    auto holds_exception = [=] { return peek<const void *>(mine, where.exception) != nullptr; };
    auto says_attached = [=] {
        return where.active ? (peek<uint32_t>(mine, where.active) & active_bit) != 0
                            : __atomic_load_n(current_at(where), __ATOMIC_RELAXED) == mine;
    };
    kept_error kept;
    bool is_right = !holds_exception() && says_attached();
    py.incref(*py.type_error);
    py.error_restore(*py.type_error, nullptr, nullptr);
    is_right = is_right && holds_exception();
    py.error_clear();
    is_right = is_right && !holds_exception();
    py.save();
    is_right = is_right && !says_attached();
    restore(py, mine);
    return is_right && says_attached();
}

void trust_layout() noexcept {
    const table &py = python();
    if (is_layout_trusted() || py.debug || sizeof(void *) != 8)
        return;
    for (const places &where : known)
        if (where.minor == py.version_hex >> 16 && are_answers_at(where)) {
            trusted.active_at.store(where.active, std::memory_order_relaxed);
            if (!where.active)
                trusted.current_at.store(current_at(where), std::memory_order_relaxed);
            trusted.exception_at.store(where.exception, std::memory_order_release);
        }
}

layout trusted;

} // namespace pyattach::cpython
