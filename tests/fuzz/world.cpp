// What the machines share, life by life.
#include "fuzz/world.hpp"

#include "support/python.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"

namespace fuzz {

using namespace support;

namespace {

std::int64_t references_at_first;
uint64_t unraisable_in_all;
// The library's own calls by this file.
tally own;

pyattach_stats stats() {
    pyattach_stats all{};
    all.struct_size = sizeof all;
    pyattach_stats_get(&all);
    return all;
}

// What the statistics say beyond what the machines did, from one moment to the next.
class uncounted {
  public:
    uncounted() : before_(stats()) {}
    ~uncounted() {
        pyattach_stats after = stats();
        own.attaches += after.attaches - before_.attaches;
        own.nested += after.nested - before_.nested;
        own.refused += after.refused - before_.refused;
        own.detaches += after.detaches - before_.detaches;
        own.drops_now += after.drops_now - before_.drops_now;
        own.drops_queued += after.drops_queued - before_.drops_queued;
        own.drops_leaked += after.drops_leaked - before_.drops_leaked;
    }

  private:
    pyattach_stats before_;
};

} // namespace

void loads(world &here) {
    load_python();
    here.library = libpython();
}

void starts(world &here) {
    uncounted meanwhile;
    start_python();
    furnishes(here);
}

void furnishes(world &here) {
    attached inside;
    run("import sys\n"
        "unraisable = []\n" // two threads may append at the same time
        "sys.unraisablehook = lambda about: unraisable.append(1)\n"
        "class Probe:\n"
        "    number = 7\n"
        "    def __call__(self, *given): return len(given)\n"
        "probe = Probe()");
    here.probe = eval("probe").release();
    here.number = eval("7").release();
    here.text = eval("'seven'").release();
    here.data = eval("b'seven'").release();
    here.type = eval("Probe").release();
    here.failure = eval("ValueError('seven')").release();
    here.kind = eval("ValueError").release();
    for (object *kept : {here.probe, here.number, here.text, here.data, here.type, here.failure, here.kind})
        may_leak(kept); // calls go on using it when Python has ended
    here.main = pyattach_interpreter_main();
    references_at_first = reference_count(here.probe);
    here.exits = here.callbacks = 0;
    here.finalizers_made = here.finalizers_called = 0;
    here.is_up = true;
}

void checks(world &here) {
    attached inside;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(pyattach_pool_size() == 0);
    EXPECT(reference_count(here.probe) == references_at_first);
    // On free-threaded builds an object may wait for the thread that made it.
    EXPECT(here.finalizers_called == here.finalizers_made ||
           (is_free_threaded() && here.finalizers_called < here.finalizers_made));
}

void ends(world &here) {
    uncounted meanwhile;
    checks(here);
    {
        attached inside;
        unraisable_in_all += static_cast<uint64_t>(eval_int("len(unraisable)"));
    }
    const char *failed = stop_python();
    EXPECT_SENTENCE(!failed, failed);
    EXPECT(here.exits == here.callbacks);
    if (const char *what = here.broken)
        EXPECT_SENTENCE(!what, what);
    here.is_up = false;
}

void add(tally &sum, const tally &one) {
    sum.attaches += one.attaches;
    sum.nested += one.nested;
    sum.refused += one.refused;
    sum.detaches += one.detaches;
    sum.drops_now += one.drops_now;
    sum.drops_queued += one.drops_queued;
    sum.drops_leaked += one.drops_leaked;
    sum.unraisable += one.unraisable;
    sum.steps += one.steps;
    sum.perhaps_attaches += one.perhaps_attaches;
    sum.perhaps_refused += one.perhaps_refused;
}

void expect_counted(const world &, const tally &machines) {
    tally sum = own;
    add(sum, machines);
    pyattach_stats all = stats();
    EXPECT(all.attaches >= sum.attaches && all.attaches <= sum.attaches + sum.perhaps_attaches);
    EXPECT(all.nested == sum.nested);
    EXPECT(all.refused >= sum.refused && all.refused <= sum.refused + sum.perhaps_refused);
    EXPECT(all.detaches >= sum.detaches); // who waits for a lock detaches too
    EXPECT(all.drops_now == sum.drops_now);
    EXPECT(all.drops_queued == sum.drops_queued);
    EXPECT(all.drops_released == sum.drops_queued);
    EXPECT(all.drops_leaked == sum.drops_leaked);
    EXPECT(all.exit_timeouts == 0);
    EXPECT(unraisable_in_all == machines.unraisable);
}

} // namespace fuzz
