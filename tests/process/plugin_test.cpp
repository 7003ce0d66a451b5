// A plugin that its host loads RTLD_LOCAL and that links libpython: the library finds that Python in the plugin's own
// scope, where extension modules do not find it.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/temporary_folder.hpp"

#include <cstdlib>
#include <unistd.h>

using namespace support;

namespace {

// The plugin is linked with a library that holds nothing; at run time the libpython under test is found in its place.
child_result run_plugin(const std::string &how) {
    temporary_folder folder;
    REQUIRE(symlink(libpython().c_str(), (folder.path + "/" TESTS_LIBPYTHON_PLACEHOLDER).c_str()) == 0);
    child_result home = run_program({python_executable(), "-c", "import sys; print(sys.base_prefix, end='')"});
    REQUIRE(home.exit_code == 0);
    const char *before = std::getenv("LD_LIBRARY_PATH");
    child_options options;
    options.environment = {{"LD_LIBRARY_PATH", folder.path + (before ? std::string(":") + before : "")},
                           {"PYTHONHOME", home.output}};
    return run_program({TESTS_PLUGIN_HOST, TESTS_PLUGIN, how, libpython()}, options);
}

void check_says(const child_result &result, const std::string &last_line) {
    INFO(result.describe());
    CHECK(result.exit_code == 0);
    CHECK(result.output.find(last_line + "\n") != std::string::npos);
}

} // namespace

TEST_CASE("naming the Python that a plugin links makes it global, so that extension modules find its symbols") {
    check_says(run_plugin("loads the one there is"), "global, stays");
    check_says(run_plugin("loads it by its path"), "global, stays");
}

TEST_CASE("starting the Python that a plugin links makes it global") {
    check_says(run_plugin("starts"), "global, stays");
}

TEST_CASE("a Python that was only found stays in its scope, and stays loaded when its plugin is closed") {
    check_says(run_plugin("asks"), "local, stays");
}
