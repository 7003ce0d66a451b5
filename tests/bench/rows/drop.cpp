// Giving references back: attached, and on a thread that is not.
#include <pyattach/pyattach.h>
#include <pyattach/pyattach.hpp>

#include <vector>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

// Fewer than the pool waits for before it asks Python for help; enough that attaching to drain them disappears.
constexpr long burst = 4000;
constexpr long iterations = 50;

// References to one object, to be given back.
class references {
  public:
    references() : all_(burst) {
        attached_by_c_api here;
        one_ = new_object();
        all_.assign(burst, one_);
    }
    ~references() {
        attached_by_c_api here;
        give_back(one_);
    }
    object *const *refill(long n = burst) {
        attached_by_c_api here;
        add_references(one_, n);
        return all_.data();
    }
    object *one() const { return one_; }

  private:
    object *one_;
    std::vector<object *> all_;
};

enum class timed { push, push_and_drain };

void add_drop(const char *job, const peer &of, timed what) {
    add(
        job, of.name,
        [&of, what](benchmark::State &state) {
            // A pool is drained on a thread that has a thread state, which all find: it is the pools that are compared.
            // Who has no pool pays for what it does.
            if (of.drain)
                pyattach::attached once;
            else if (pyattach_thread_release() != PYATTACH_OK)
                state.SkipWithError("the thread cannot be made one without a thread state");
            references refs;
            // Attaching for each may take milliseconds, and needs no burst.
            const long n = of.drain ? burst : burst / iterations;
            for (auto _ : state) {
                object *const *all = refs.refill(n);
                double begun = thread_cpu_seconds();
                of.drop(all, n);
                if (what == timed::push_and_drain && of.drain)
                    of.drain();
                set_time(state, thread_cpu_seconds() - begun - stopwatch_seconds(), n);
                if (what == timed::push)
                    of.drain();
            }
        },
        of.drain ? iterations : 2);
}

// A pool that was used once may make every later attach look into it.
void add_nested_after_drops(const peer &of) {
    add("nested, after drops", of.name, [&of](benchmark::State &state) {
        references refs;
        of.drop(refs.refill(), burst);
        of.drain();
        pyattach::attached here;
        measure(state, of.nested);
    });
}

void add_drop_attached(const peer &of) {
    add(
        "drop attached", of.name,
        [&of](benchmark::State &state) {
            pyattach::attached here;
            references refs;
            for (auto _ : state) {
                refs.refill();
                double begun = thread_cpu_seconds();
                of.drop_attached(refs.one(), burst);
                set_time(state, thread_cpu_seconds() - begun - stopwatch_seconds(), burst);
            }
        },
        iterations);
}

} // namespace

void add_drop_rows() {
    for (const peer *of : peers()) {
        if (of->drop_attached)
            add_drop_attached(*of);
        if (of->drop)
            add_drop("drop", *of, timed::push_and_drain);
        if (of->drop && of->drain && of->nested)
            add_nested_after_drops(*of);
        if (of->drop && of->drain)
            add_drop("drop, push only", *of, timed::push);
    }
}

} // namespace bench
