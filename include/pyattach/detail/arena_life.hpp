/* Arena life: how a token knows that its arena has ended. */
#ifndef PYATTACH_DETAIL_ARENA_LIFE_HPP
#define PYATTACH_DETAIL_ARENA_LIFE_HPP

#include "cpp17.hpp"

#include <atomic>
#include <cstdint>
#include <new>

#include "misuse.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* The memory of an arena that ended cannot be asked, so its life is written elsewhere: in a place that is never freed
 * and serves one arena after the other. Odd while it serves one; a number is never used twice. */
struct life_place {
    std::atomic<std::uint64_t> number{0};
    life_place *next = nullptr;
};

/* All places; as many as arenas were ever asked for a token at once. */
inline std::atomic<life_place *> life_places{nullptr};

/* NULL if memory is short; nothing is looked at then. */
inline life_place *take_life_place() noexcept {
    for (life_place *one = life_places.load(std::memory_order_acquire); one; one = one->next) {
        std::uint64_t number = one->number.load(std::memory_order_relaxed);
        if (number % 2 == 0 && one->number.compare_exchange_strong(number, number + 1, std::memory_order_relaxed))
            return one;
    }
    life_place *made = new (std::nothrow) life_place;
    if (!made)
        return nullptr;
    made->number.store(1, std::memory_order_relaxed);
    made->next = life_places.load(std::memory_order_relaxed);
    while (!life_places.compare_exchange_weak(made->next, made, std::memory_order_release, std::memory_order_relaxed)) {
    }
    return made;
}

/* What a token remembers of its arena. */
struct life_seen {
    life_place *place;
    std::uint64_t number;

    /* Aborts with the sentences unless the arena lives. Relaxed: it ends on the thread that uses the token, or that
     * thread is wrong already. */
    void require(const char *what, const char *rule, const char *instead) const noexcept {
        if (!place || place->number.load(std::memory_order_relaxed) == number)
            return;
        misuse(what, rule, instead);
    }
};

/* The life of one arena. Costs nothing until somebody asks to see it, and nothing at all with NDEBUG. */
class life {
  public:
    life_seen see() noexcept {
#if !defined(NDEBUG)
        if (!place_)
            place_ = take_life_place();
#endif
        return {place_, place_ ? place_->number.load(std::memory_order_relaxed) : 0};
    }
    void end() noexcept {
        if (place_)
            place_->number.fetch_add(1, std::memory_order_relaxed);
    }

  private:
    life_place *place_ = nullptr;
};

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
