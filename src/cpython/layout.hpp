// Layout: where CPython keeps the current tstate, its interpreter, the pending exception, reference counts, and the
// count of a tstate.
//
// A read at these places replaces a call of CPython, which costs as much as all the rest of an attach. The offset of
// the exception in a tstate does not change within a minor version: CPython's headers show the fields of a tstate, and
// modules made by Cython read them. The interpreter is the third word of a tstate in all versions so far. The current
// tstate is a thread-local of CPython's from 3.12, which find_current searches for, and a global before. No place is
// used before trust_layout has seen CPython give both answers there.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Reads a word of CPython's that this thread, or the thread that holds the GIL, writes.
template <class Word> Word peek(Word const *word) noexcept { return __atomic_load_n(word, __ATOMIC_RELAXED); }

// How references are counted, in the word at the head of every object.
enum class counting : unsigned {
    by_call,
    in_64_bits,
    in_32_bits, // in the lower of two 32-bit words; negative: the object is immortal
};

struct layout {
    std::atomic<unsigned> exception_at; // offset in a tstate of the pending exception or its type; 0: not trusted
    std::atomic<unsigned> id_at;        // offset in a tstate of its id, where the end of Python frees tstates
    std::atomic<unsigned> state_at;     // free-threaded: offset of the tstate's state; 0: not trusted
    std::atomic<thread_state *const *> shared; // the global that holds the current tstate; NULL: a thread-local does
    std::atomic<size_t> module, offset;        // of the thread-local, as __tls_get_addr takes them
    std::atomic<cpython::counting> counting;
    std::atomic<unsigned> counter_at; // offset in a tstate of how often PyGILState_Ensure holds it; 0: not trusted
};
extern layout trusted;
// Acquire pairs with the release in trust_layout(), which stores `exception_at` last.
inline bool is_layout_trusted() noexcept { return trusted.exception_at.load(std::memory_order_acquire) != 0; }

// Attached: checks the known places of this version, and trusts those where CPython's own functions give the same
// answers.
void trust_layout() noexcept;

// The address where the calling thread's current tstate is kept; up to 3.11 that of the thread that holds the GIL. The
// address of `unknown`, which is NULL, where the layout is not trusted.
extern thread_state *const unknown;
thread_state *const *current_at() noexcept;
// The interpreter of a tstate that cannot be freed meanwhile. The layout has to be trusted.
constexpr size_t interp_at = 2 * sizeof(void *);
inline interp_state *interp_in(const thread_state *tstate) noexcept {
    return peek(reinterpret_cast<interp_state *const *>(reinterpret_cast<const char *>(tstate) + interp_at));
}
// The id of a tstate that cannot be freed meanwhile, where the end of Python frees tstates. The layout has to be
// trusted.
inline uint64_t id_in(const thread_state *tstate) noexcept {
    auto *at = reinterpret_cast<const char *>(tstate) + trusted.id_at.load(std::memory_order_relaxed);
    return peek(reinterpret_cast<const uint64_t *>(at));
}
// Whether this tstate holds a pending exception. The layout has to be trusted.
inline bool has_exception(const thread_state *attached) noexcept {
    auto *at = reinterpret_cast<const char *>(attached) + trusted.exception_at.load(std::memory_order_relaxed);
    return peek(reinterpret_cast<const object *const *>(at)) != nullptr;
}
// Free-threaded: whether the world is stopped, so that an attach with this tstate waits. Out of date as soon as it is
// returned. `unless_known` where the layout is not trusted.
inline bool is_suspended(const thread_state *detached, bool unless_known) noexcept {
    constexpr int suspended = 2; // _Py_THREAD_SUSPENDED
    const unsigned at = trusted.state_at.load(std::memory_order_relaxed);
    return at ? peek(reinterpret_cast<const int *>(reinterpret_cast<const char *>(detached) + at)) == suspended
              : unless_known;
}
// The count of PyGILState_Ensure in a tstate, which only the thread that uses the tstate reads and writes. pybind11 and
// cffi write it, too. `offset`: trusted.counter_at, which is not 0.
inline int &ensure_count(thread_state *tstate, unsigned offset) noexcept {
    return *reinterpret_cast<int *>(reinterpret_cast<char *>(tstate) + offset);
}
// Attached with the tstate of the GILState slot: checks the known place of that count, unless it is trusted already.
void trust_counter() noexcept;
inline int32_t *refcount_32(object *obj) noexcept {
    return reinterpret_cast<int32_t *>(obj) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}
// Attached: gives a reference back if it is not the last one, or if the object is immortal. False: nothing was done,
// and the caller calls Py_DecRef. Extension modules of the stable ABI have the same code compiled in, so the head of an
// object cannot change.
inline bool decref_fast(counting how, object *obj) noexcept {
    if (how == counting::in_32_bits) {
        int32_t *count = refcount_32(obj);
        const int32_t references = peek(count);
        if (references > 1)
            __atomic_store_n(count, references - 1, __ATOMIC_RELAXED);
        return references > 1 || references < 0;
    }
    auto *count = reinterpret_cast<int64_t *>(obj);
    const int64_t references = how == counting::in_64_bits ? peek(count) : 0;
    if (references > 1)
        __atomic_store_n(count, references - 1, __ATOMIC_RELAXED);
    return references > 1;
}

// The checks of trust_layout. Each needs an attached thread.

// Compares the word at `interp_at` with CPython's answer.
bool is_interp_in_place() noexcept;
// The same of the id, at this offset.
bool is_id_at(unsigned offset) noexcept;
// Raises an exception and clears it, and compares the word at this offset each time.
bool is_exception_at(unsigned offset) noexcept;
// Detaches and attaches again, and compares the word at `at` each time.
bool is_current_at(thread_state *const *at) noexcept;
// The same for the state of the tstate at this offset.
bool is_state_at(unsigned offset) noexcept;
// Makes an object, and checks that its references are counted as `how` says. Not free-threaded.
bool is_counted(counting how) noexcept;
// Finds CPython's thread-local with the current tstate, as __tls_get_addr takes it. False: CPython has none, more than
// one thread-local fits, or the thread-locals of this thread cannot be found.
bool find_current(size_t (&index)[2]) noexcept;

} // namespace pyattach::cpython
