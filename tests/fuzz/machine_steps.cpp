// What a machine does next, how it ends everything that is open, and what it has done.
#include "fuzz/machine.hpp"

#include <algorithm>

#include "support/python.hpp"

namespace fuzz {

void machine::step() {
    ++counted_.steps;
    unsigned which = from_.below(100);
    // Deep, but not without end.
    if (open_.size() > 12)
        which = 67;
    if (which < 18)
        begin_attached();
    else if (which < 26)
        begin_detached();
    else if (which < 29)
        begin_forbidden();
    else if (which < 34)
        begin_section();
    else if (which < 46)
        routed();
    else if (which < 68)
        end_one();
    else if (which < 75)
        references();
    else if (which < 77)
        interpreters();
    else if (which < 78)
        callbacks();
    else if (which < 84)
        locks();
    else if (which < 85)
        once();
    else if (which < 87)
        settings();
    else if (which < 89)
        holds();
    else if (which < 92)
        call();
    else if (which < 96)
        convert();
    else
        errors();
    look();
}

void machine::settle() {
    while (!open_.empty()) {
        ++counted_.steps;
        end_one();
        if (ensures_)
            release_nested();
    }
    for (int i = 0; i < mutexes; ++i)
        if (locked_ & 1u << i)
            pyattach_mutex_unlock(&world_.mutex[i]);
    locked_ = 0;
    for (; recursions_ > 0; --recursions_)
        world_.recursive.unlock();
    settle_ensures();
    for (; held_ > 0; --held_)
        drop(world_.probe);
    for (object *mortal : mortals_)
        drop(mortal);
    mortals_.clear();
    settle_holds();
    registered_.clear(); // what is left is called at the end
    look();
}

std::string machine::trail() const {
    std::string text = "after " + std::to_string(counted_.steps) + " steps, the last of them:";
    for (size_t i = 0; i < trail_size; ++i)
        if (const char *one = trail_[(counted_.steps + 1 + i) % trail_size])
            text += std::string(" ") + one + ";";
    return text;
}

} // namespace fuzz
