// Finding a Python without a path: the newest suitable one that the dynamic linker knows; and a process with PyPy
// alone.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <climits>
#include <cstdlib>
#include <dlfcn.h>
#include <unistd.h>

using namespace support;

CHILD("the default libpython") {
    // Whatever the dynamic linker finds, or nothing: a status, not a crash.
    messages said;
    pyattach_status status = pyattach_python_load(nullptr);
    EXPECT(status == PYATTACH_OK || status == PYATTACH_NO_PYTHON || status == PYATTACH_UNSUPPORTED);
    EXPECT(status == PYATTACH_OK || said.text() != "");
}

namespace {

// A folder in which the dynamic linker finds these libraries under the names of every libpython.
class every_name {
  public:
    explicit every_name(const std::string &newest, const std::string &others) {
        for (int minor = 9; minor <= 30; ++minor)
            for (const char *flavour : {"", "t"}) {
                std::string name = folder_.path + "/libpython3." + std::to_string(minor) + flavour + ".so.1.0";
                REQUIRE(symlink((minor > 12 ? newest : others).c_str(), name.c_str()) == 0);
            }
    }

    child_options searched() const {
        const char *before = std::getenv("LD_LIBRARY_PATH");
        child_options all;
        all.environment = {{"LD_LIBRARY_PATH", folder_.path + (before ? std::string(":") + before : "")}};
        return all;
    }

  private:
    temporary_folder folder_;
};

} // namespace

CHILD("every libpython there is lacks a function") {
    messages said;
    EXPECT(pyattach_python_load(nullptr) == PYATTACH_UNSUPPORTED);
    EXPECT_SENTENCE(said.text().find("PyThreadState_New") != std::string::npos, said.text());
}
CHILD("the default is the libpython under test") {
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_load(nullptr) == PYATTACH_OK);
    EXPECT(pyattach_python_describe(&python) == PYATTACH_OK);
    char real[PATH_MAX];
    EXPECT(realpath(libpython().c_str(), real) && std::string(python.path) == real);
}
TEST_CASE("without a path the newest libpython that the dynamic linker finds is loaded") {
    check_succeeds("the default libpython");
    check_succeeds("the default is the libpython under test", every_name(libpython(), TESTS_FAKE_OTHER).searched());
}

CHILD("no libpython is one") {
    messages said;
    EXPECT(pyattach_python_load(nullptr) == PYATTACH_NO_PYTHON);
    EXPECT_SENTENCE(said.text().find("dynamic linker's path; name one") != std::string::npos, said.text());
}
TEST_CASE("without a path unsuitable libpythons are skipped, and if none is left the reason is reported") {
    check_succeeds("every libpython there is lacks a function",
                   every_name(TESTS_FAKE_LACKING, TESTS_FAKE_LACKING).searched());
    check_succeeds("the default is the libpython under test", every_name(TESTS_FAKE_LACKING, libpython()).searched());
    check_succeeds("no libpython is one", every_name(TESTS_NO_PYTHON, TESTS_NO_PYTHON).searched());
}

CHILD("a pypy in the process") {
    EXPECT(dlopen(TESTS_REAL_PYPY, RTLD_NOW | RTLD_GLOBAL));
    messages said;
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
    EXPECT_SENTENCE(said.text().find("runs PyPy") != std::string::npos, said.text());
}
TEST_CASE("a PyPy process is refused with a message that names PyPy") { check_succeeds("a pypy in the process"); }
