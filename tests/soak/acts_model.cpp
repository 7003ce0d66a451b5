// Acts: the fuzz machines, which call everything in any order and know what each call must answer, for a short while
// each. What they know holds as long as Python runs: so a life ends between such whiles.
#include <shared_mutex>

#include "soak/soak.hpp"
#include "support/python.hpp"

namespace soak {
namespace {

struct model {
    std::shared_mutex lock;
    std::atomic<bool> is_open{false};
    fuzz::world world;
};
model &shared_model() {
    static model &instance = *new model;
    return instance;
}

// A machine asks to stop Python, too, which only a host may.
bool may_play(const actor &me) { return !me.is_in_child && !me.is_host && me.depth == 0 && shared_model().is_open; }

bool play_machine(actor &me) {
    std::shared_lock<std::shared_mutex> hold(shared_model().lock, std::try_to_lock);
    if (!hold.owns_lock() || !shared_model().is_open)
        return true;
    fuzz::machine machine(shared_model().world, me.dice());
    try {
        for (unsigned i = 5 + me.below(60); i > 0; --i)
            machine.step();
        machine.settle();
    } catch (const support::failure &what) {
        wrong(__FILE__, __LINE__, what.what(), machine.trail().c_str());
    }
    return true;
}

} // namespace

void open_model() {
    shared_model().world.library = support::libpython();
    fuzz::furnishes(shared_model().world);
    shared_model().is_open = true;
}

void close_model() {
    shared_model().is_open = false;
    std::lock_guard<std::shared_mutex> hold(shared_model().lock);
    shared_model().world.is_up = false;
}

const std::vector<act> model_acts = {
    {"the fuzz machine", 4, play_machine, may_play},
};

} // namespace soak
