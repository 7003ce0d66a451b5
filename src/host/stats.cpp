// Stats: the sums of the counters of all threads and interpreters.
#include "host/stats.hpp"

#include <algorithm>
#include <cstring>

#include "core/counters.hpp"
#include "core/interpreter.hpp"

namespace pyattach {

void get_stats(pyattach_stats *out) noexcept {
    if (!out)
        return;
    pyattach_stats all = {};
    all.struct_size = out->struct_size;
    all.attaches = counted(event::attaches);
    all.nested = counted(event::nested);
    all.refused = counted(event::refused);
    all.detaches = counted(event::detaches);
    all.states_created = counted(event::states_created);
    all.states_adopted = counted(event::states_adopted);
    all.states_deleted = counted(event::states_deleted);
    all.drops_now = counted(event::drops_now);
    all.drops_queued = counted(event::drops_queued);
    all.drops_released = counted(event::drops_released);
    all.drops_leaked = counted(event::drops_leaked);
    all.exit_waits = counted(event::exit_waits);
    all.exit_timeouts = counted(event::exit_timeouts);
    lock_registry();
    all.pool_high_water = high_water_of_ended();
    for (interp_data *data = newest_data(); data; data = data->next) {
        all.states_dead += data->orphaned.count.load(std::memory_order_relaxed);
        all.pool_high_water = std::max<uint64_t>(all.pool_high_water, data->interp->pool.high_water());
    }
    unlock_registry();
    std::memcpy(out, &all, std::min(out->struct_size, sizeof all));
}

} // namespace pyattach
