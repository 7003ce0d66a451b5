// Critical sections and mutexes that nobody else wants.
#include <pyattach/pyattach.hpp>

#include <mutex>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

struct two_objects {
    two_objects() : one(new_object()), two(new_object()) {}
    ~two_objects() {
        give_back(one);
        give_back(two);
    }
    object *one, *two;
};

void add_sections(const peer &of) {
    if (of.section)
        add("critical section", of.name, [&of](benchmark::State &state) {
            pyattach::attached here;
            two_objects on;
            measure(state, [&](long n) { of.section(on.one, n); });
        });
    if (of.section2)
        add("critical section, 2 objects", of.name, [&of](benchmark::State &state) {
            pyattach::attached here;
            two_objects on;
            measure(state, [&](long n) { of.section2(on.one, on.two, n); });
        });
}

void add_attached(const char *job, const peer &of, void (*batch)(long)) {
    if (batch)
        add(job, of.name, [batch](benchmark::State &state) {
            pyattach::attached here;
            measure(state, batch);
        });
}

std::mutex of_cpp;

} // namespace

void add_lock_rows() {
    for (const peer *of : peers()) {
        add_sections(*of);
        add_attached("critical section, mutex", *of, of->section_mutex);
        add_attached("critical section, 2 mutexes", *of, of->section_mutex2);
        add_attached("mutex", *of, of->mutex);
    }
    add("mutex", "std::mutex", [](benchmark::State &state) {
        measure(state, [](long n) {
            for (; n; --n)
                std::lock_guard<std::mutex> held(of_cpp);
        });
    });
}

} // namespace bench
