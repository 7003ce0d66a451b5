// One slice of the soak: see soak.hpp. tools/soak runs it.
//
//     soak --seed N [--seconds N] [--plugins DIRECTORY] [--only ACT,...] [--without ACT,...] [--driver yes] [--acts
//     yes]
//
// The directory is an empty one, for copies of the plugin.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/resource.h>

#include "soak/soak.hpp"
#include "support/expect.hpp"
#include "support/python.hpp"
#include "support/sanitizers.hpp"

int main(int argc, char **argv) {
    using namespace soak;
    unsigned seconds = 5;
    std::string plugins, only, without;
    for (int i = 1; i + 1 < argc; i += 2) {
        auto is = [&](const char *name) { return std::strcmp(argv[i], name) == 0; };
        if (is("--seed"))
            on_stage().seed = std::strtoull(argv[i + 1], nullptr, 10);
        else if (is("--seconds"))
            seconds = static_cast<unsigned>(std::atoi(argv[i + 1]));
        else if (is("--plugins"))
            plugins = argv[i + 1];
        else if (is("--only"))
            only = argv[i + 1];
        else if (is("--without"))
            without = argv[i + 1];
        else if (is("--driver"))
            on_stage().has_driver = true;
        else if (is("--acts"))
            return std::puts(all_acts().c_str()) < 0;
        else
            return 71;
    }
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    watch_signals();
    try {
        fuzz::seeded dice(on_stage().seed ^ 0x50a4);
        choose_acts(dice, only, without);
        std::printf("soak: seed %llu: %s\n", static_cast<unsigned long long>(on_stage().seed), chosen_acts().c_str());
        std::fflush(stdout);
        if (dice.below(2) == 0 && !is_left_out("a pool around forks"))
            keep_pool_around_forks();
        if (!plugins.empty())
            find_plugins(plugins);
        support::load_python();
        support::open_libpython_on_a_thread_that_stays();
        live(seconds);
    } catch (const support::failure &what) {
        wrong(__FILE__, __LINE__, what.what());
    }
}
