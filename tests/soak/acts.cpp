// The table of acts, and how often this slice plays each of them.
#include <algorithm>
#include <sstream>

#include "soak/soak.hpp"
#include "support/expect.hpp"

namespace soak {
namespace {

struct choice {
    std::vector<act> acts;
    unsigned sum = 0;

    void add(const std::vector<act> &more) { acts.insert(acts.end(), more.begin(), more.end()); }
    const act *pick(actor &me) const {
        // A few tries: an act that is not possible here is left to another thread.
        for (int tries = 0; tries < 20; ++tries) {
            unsigned at = me.below(sum);
            for (const act &action : acts) {
                if (at < action.weight) {
                    if (action.is_possible(me))
                        return &action;
                    break;
                }
                at -= action.weight;
            }
        }
        return nullptr;
    }
};

struct choices {
    choice inner, outer;
};
choices &chosen() {
    static choices &all = *new choices;
    return all;
}

choices everything() {
    choices all;
    for (const auto *list :
         {&scope_acts, &lock_acts, &thread_acts, &fork_acts, &interpreter_acts, &plugin_acts, &python_acts})
        all.inner.add(*list);
    for (const auto *list : {&outer_scope_acts, &outer_thread_acts, &outer_fork_acts, &outer_hold_acts,
                             &interpreter_acts, &plugin_acts, &model_acts})
        all.outer.add(*list);
    return all;
}

bool is_named(const std::string &names, const std::string &name) {
    std::istringstream all(names);
    for (std::string text; std::getline(all, text, ',');)
        if (text == name)
            return true;
    return false;
}

// Without these a slice would do nothing.
bool is_needed(const act &action) {
    const std::string name = action.name;
    return name == "attach" || name == "call Python" || name == "detach" || name == "pause";
}

// Choices that hold for a whole slice.
constexpr const char *slice_acts[] = {"a pool around forks", "two hosts"};
std::string &left_out() {
    static std::string &all = *new std::string;
    return all;
}

void check_names(const std::string &names) {
    std::istringstream all(names);
    for (std::string name; std::getline(all, name, ',');)
        EXPECT_SENTENCE(("; " + all_acts() + ";").find("; " + name + ";") != std::string::npos,
                        "there is no act \"" + name + "\"; there are: " + all_acts());
}

} // namespace

void choose_acts(fuzz::source &from, const std::string &only, const std::string &without) {
    check_names(only);
    check_names(without);
    left_out() = without;
    chosen() = everything();
    for (choice *candidate : {&chosen().inner, &chosen().outer}) {
        for (act &each : candidate->acts) {
            // Drawn for every act, so that naming some does not change the others.
            unsigned factor = from.below(6);
            if (!is_needed(each))
                each.weight *= factor < 2 ? 0 : factor == 5 ? 6 : factor - 1;
            if (is_named(without, each.name) || (!only.empty() && !is_needed(each) && !is_named(only, each.name)))
                each.weight = 0;
            else if (is_named(only, each.name))
                each.weight = std::max(each.weight, 10u);
            candidate->sum += each.weight;
        }
    }
}

std::string chosen_acts() {
    std::string all;
    for (const choice *candidate : {&chosen().inner, &chosen().outer}) {
        for (const act &each : candidate->acts)
            if (each.weight > 0)
                all += each.name + (" " + std::to_string(each.weight)) + ", ";
        all += candidate == &chosen().inner ? "and around that " : "";
    }
    return all;
}

bool is_left_out(const std::string &slice_act) { return is_named(left_out(), slice_act); }

std::string all_acts() {
    const choices all = everything();
    std::string names;
    for (const char *name : slice_acts)
        names += std::string(names.empty() ? "" : " ") + name + ";";
    for (const choice *candidate : {&all.inner, &all.outer})
        for (const act &each : candidate->acts)
            if (("; " + names).find(std::string("; ") + each.name + ";") == std::string::npos)
                names += std::string(names.empty() ? "" : " ") + each.name + ";";
    names.pop_back();
    return names;
}

namespace {
bool play(actor &me, const act *action) {
    if (!action)
        return true;
    me.note(action->name);
    on_stage().acts.fetch_add(1, std::memory_order_relaxed);
    return action->play(me);
}
} // namespace

void play_outer(actor &me) { play(me, chosen().outer.pick(me)); }
bool play_inner(actor &me) { return play(me, chosen().inner.pick(me)); }

bool play_inside(actor &me) {
    // No deeper: each level multiplies the number of acts.
    if (me.depth > 4)
        return true;
    ++me.depth;
    bool is_alive = true;
    for (unsigned i = 1 + me.below(me.depth > 2 ? 2 : 5); i > 0 && is_alive && !me.has_error; --i)
        is_alive = play_inner(me);
    --me.depth;
    me.has_error = me.has_error && me.depth > 0;
    return is_alive;
}

} // namespace soak
