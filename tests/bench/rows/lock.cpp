// Critical sections and mutexes that nobody else wants.
#include <pyattach/pyattach.h>
#include <pyattach/pyattach.hpp>

#include <mutex>
#include <string>

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

// Attached by this library, and as Python attaches the thread that calls a function.
template <class Batch> void add_attached(const std::string &job, const peer &of, Batch batch) {
    add(job, of.name, [batch](benchmark::State &state) {
        pyattach::attached here;
        two_objects on;
        measure(state, [&](long n) { batch(on, n); });
    });
    add(job + ", Python thread", of.name, [batch](benchmark::State &state) {
        if (pyattach_thread_release() != PYATTACH_OK)
            state.SkipWithError("the thread cannot be made one without a thread state");
        attached_by_c_api here;
        two_objects on;
        measure(state, [&](long n) { batch(on, n); });
    });
}

void add_sections(const peer &of) {
    if (of.section)
        add_attached("critical section", of, [&of](two_objects &on, long n) { of.section(on.one, n); });
    if (of.section2)
        add_attached("critical section, 2 objects", of,
                     [&of](two_objects &on, long n) { of.section2(on.one, on.two, n); });
    if (of.section_mutex)
        add_attached("critical section, mutex", of, [&of](two_objects &, long n) { of.section_mutex(n); });
    if (of.section_mutex2)
        add_attached("critical section, 2 mutexes", of, [&of](two_objects &, long n) { of.section_mutex2(n); });
    if (of.mutex)
        add_attached("mutex", of, [&of](two_objects &, long n) { of.mutex(n); });
}

std::mutex of_cpp;

} // namespace

void add_lock_rows() {
    for (const peer *of : peers())
        add_sections(*of);
    add("mutex", "std::mutex", [](benchmark::State &state) {
        measure(state, [](long n) {
            for (; n; --n)
                std::lock_guard<std::mutex> held(of_cpp);
        });
    });
}

} // namespace bench
