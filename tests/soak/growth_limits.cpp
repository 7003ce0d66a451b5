// Ceilings: what must not grow, however long the library is used.
#include <algorithm>
#include <cstdio>

#include "soak/soak.hpp"
#include "support/resident_memory.hpp"
#include "support/python.hpp"
#include "support/sanitizers.hpp"

namespace soak {
namespace {

// States of ended threads wait for a batch to fill: 8 with a GIL, 64 without, in each interpreter. Threads that end
// while others delete come on top.
constexpr std::uint64_t most_dead = 64 * (1 + most_subs) + 100;
// A thread that gives back more than 4,000 without a stop asks for help; there are a few of them.
constexpr std::uint64_t most_waiting = 40000;
// What one life of CPython leaves behind by itself, and one of a sub-interpreter (stress/restart_memory_test measures
// 0.3 and 2 MB with a GIL, 6 and 4 MB without), with a half more; and what allocators keep for later.
constexpr std::int64_t mebibyte = 1 << 20, bytes_in_all = 48 * mebibyte;
std::int64_t bytes_a_life() { return (support::is_free_threaded() ? 9 : 1) * mebibyte; }
std::int64_t bytes_a_sub() { return (support::is_free_threaded() ? 6 : 3) * mebibyte; }

struct ceilings {
    std::int64_t states_before = 0; // created and not deleted when this life began
    std::int64_t resident_first = 0, resident_last = 0;
    int lives_first = 0;
    std::uint64_t subs_first = 0, subs_before = 0, most_dead_seen = 0;
    std::int64_t most_states_seen = 0;
    std::size_t most_waiting_seen = 0;
} seen_so_far;

pyattach_stats stats() {
    pyattach_stats all{};
    all.struct_size = sizeof all;
    pyattach_stats_get(&all);
    return all;
}

std::int64_t states() {
    const pyattach_stats all = stats();
    return static_cast<std::int64_t>(all.states_created - all.states_deleted);
}

void check(const char *what, std::int64_t value, std::int64_t limit) {
    const std::string text = std::string(what) + ": " + std::to_string(value) + ", at most " + std::to_string(limit);
    if (value > limit)
        wrong(__FILE__, __LINE__, "a ceiling was reached", text.c_str());
}

} // namespace

void begin_life_below_ceilings() {
    seen_so_far.states_before = states(); // what ended with the lives before is not counted as deleted
    seen_so_far.subs_before = on_stage().subs_ended;
}

void look_at_ceilings(bool is_between_lives, unsigned seconds_in_all) {
    const pyattach_stats all = stats();
    seen_so_far.most_dead_seen = std::max(seen_so_far.most_dead_seen, all.states_dead);
    check("states of ended threads", std::int64_t(all.states_dead), is_between_lives ? 0 : std::int64_t(most_dead));
    if (!is_between_lives) {
        // Each thread has one state in each interpreter at most; what ended with a sub-interpreter is not counted as
        // deleted.
        const std::int64_t alive = states() - seen_so_far.states_before;
        const auto places = std::int64_t(1 + most_subs + on_stage().subs_ended - seen_so_far.subs_before);
        seen_so_far.most_states_seen = std::max(seen_so_far.most_states_seen, alive);
        check("thread states", alive, places * 100 + std::int64_t(most_dead));
        seen_so_far.most_waiting_seen = std::max(seen_so_far.most_waiting_seen, pyattach_pool_size());
        check("references in the pool", std::int64_t(seen_so_far.most_waiting_seen), most_waiting);
    }
    check("actors", on_stage().actors_alive, 200);
    // A third of the slice fills what allocators keep.
    if (!support::is_memory_telling || seconds_lived() < seconds_in_all / 3.)
        return;
    seen_so_far.resident_last = support::resident_bytes();
    if (seen_so_far.resident_first == 0) {
        seen_so_far.resident_first = seen_so_far.resident_last;
        seen_so_far.lives_first = on_stage().lives;
        seen_so_far.subs_first = on_stage().subs_ended;
    }
    check("resident bytes more", seen_so_far.resident_last - seen_so_far.resident_first,
          bytes_in_all + (on_stage().lives - seen_so_far.lives_first) * bytes_a_life() +
              std::int64_t(on_stage().subs_ended - seen_so_far.subs_first) * bytes_a_sub());
}

std::string ceilings_report() {
    char text[300];
    std::snprintf(text, sizeof text, "dead %llu, states %lld, waiting %zu, %+.1f MiB in %d lives and %llu subs",
                  static_cast<unsigned long long>(seen_so_far.most_dead_seen),
                  static_cast<long long>(seen_so_far.most_states_seen), seen_so_far.most_waiting_seen,
                  double(seen_so_far.resident_last - seen_so_far.resident_first) / (1 << 20),
                  on_stage().lives - seen_so_far.lives_first,
                  static_cast<unsigned long long>(on_stage().subs_ended - seen_so_far.subs_first));
    return text;
}

} // namespace soak
