/* Arena life: how a token detects that its arena has ended. */
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

/* The memory of an arena that ended must not be read, so its life is recorded in a place that is never freed and serves
 * one arena after another. `number` is odd while the place serves an arena; a number is never used twice. */
struct life_place {
    std::atomic<std::uint64_t> number{0};
    life_place *next = nullptr;
};

/* The list of all places: as many as the arenas that had handed out a token at one time, at most. */
inline std::atomic<life_place *> life_places{nullptr};

/* Returns a place for one arena; NULL if memory is short, and then nothing is checked. */
inline life_place *take_life_place() noexcept {
    for (life_place *place = life_places.load(std::memory_order_acquire); place; place = place->next) {
        std::uint64_t number = place->number.load(std::memory_order_relaxed);
        if (number % 2 == 0 && place->number.compare_exchange_strong(number, number + 1, std::memory_order_relaxed))
            return place;
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

/* The life of the arena as a token stores it. */
struct life_seen {
    life_place *place;
    std::uint64_t number;

    /* Aborts with the message unless the arena is alive. Relaxed, because the arena ends on the thread that uses the
     * token; use on another thread is misuse already. */
    void require(const char *what, const char *rule, const char *instead) const noexcept {
        if (!place || place->number.load(std::memory_order_relaxed) == number)
            return;
        misuse(what, rule, instead);
    }
};

/* The life of one arena. It takes no place until see() is called, and none at all with NDEBUG. */
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
