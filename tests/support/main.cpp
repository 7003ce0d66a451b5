// main() of every Catch executable: `--child NAME [ARGUMENT...]` runs a scenario of child.hpp, anything else runs
// Catch2.
#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"
#if SUPPORT_CATCH_IS_A_LIBRARY
#include <catch2/catch_session.hpp>
#endif

#include <cstdio>
#include <cstring>

#include "support/child.hpp"
#include "support/python.hpp"

int main(int argc, char **argv) {
    // Most tests look at what waits. Those of housekeeping switch it on.
    pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
    if (argc > 2 && std::strcmp(argv[1], "--child") == 0)
        return support::child_main(argv[2], std::vector<std::string>(argv + 3, argv + argc));
    Catch::Session session;
    int status = session.applyCommandLine(argc, argv);
    if (status != 0)
        return status;
#if !SUPPORT_CATCH_IS_A_LIBRARY
    // A filter that selects nothing is a mistake in a meson.build; from version 3 on Catch2 says so by itself.
    session.configData().warnings =
        static_cast<Catch::WarnAbout::What>(session.configData().warnings | Catch::WarnAbout::NoTests);
#endif
    status = session.run();
    // What the tests left behind must let Python end.
    if (const char *failed = support::stop_python()) {
        std::fprintf(stderr, "Python did not end well after the tests: %s\n", failed);
        return status != 0 ? status : 87;
    }
    return status;
}
