#include "python.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.hpp"

extern char **environ;

namespace {

// Only an executable knows where its shared library is: the place differs from one distribution to the next.
const char question[] = R"(
import os, sys, sysconfig
get = sysconfig.get_config_var
names = [name for name in (get('INSTSONAME'), get('LDLIBRARY')) if name and '.so' in name]
home = get('LIBDIR') or ''
places = [home, os.path.join(home, get('MULTIARCH') or ''), os.path.join(sys.base_prefix, 'lib')]
files = [os.path.join(place, name) for place in places for name in names]
print(sys.executable)
print('%d.%d' % sys.version_info[:2])
print(next(filter(os.path.exists, files), ''))
print(files[0] if files else '')
)";

// What `program -I -c question` prints; nothing if it could not be run or failed.
std::string ask(const std::string &program) {
    int ends[2];
    if (pipe(ends) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    const char *arguments[] = {program.c_str(), "-I", "-c", question, nullptr};
    pid_t child;
    const int error =
        posix_spawnp(&child, program.c_str(), &actions, nullptr, const_cast<char *const *>(arguments), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    std::string answer;
    char buffer[4096];
    ssize_t size;
    while ((size = read(ends[0], buffer, sizeof buffer)) > 0)
        answer.append(buffer, static_cast<size_t>(size));
    close(ends[0]);
    int outcome = 0;
    if (error == 0)
        waitpid(child, &outcome, 0);
    else if (program.find('/') == std::string::npos)
        throw refusal("there is no " + program + " on PATH; name a Python with --python PATH");
    else
        throw refusal(program + " cannot be run: " + std::strerror(error));
    return outcome == 0 ? answer : std::string();
}

} // namespace

python find_python(const std::string &path) {
    const std::filesystem::path file = path;
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored) && file.has_parent_path())
        throw refusal(path + " is a directory; --python takes a Python executable, or its libpython");
    if (file.filename().string().rfind("libpython", 0) == 0) {
        if (!std::filesystem::exists(file, ignored))
            throw refusal("there is no file " + path);
        return {path, {}};
    }
    std::istringstream answer(ask(path));
    std::string executable, version, libpython, expected;
    std::getline(answer, executable);
    std::getline(answer, version);
    std::getline(answer, libpython);
    std::getline(answer, expected);
    if (version.empty())
        throw refusal(path + " does not answer as a Python would; CPython 3.9 or newer is needed");
    if (libpython.empty())
        throw refusal(executable + " (" + version + ") has no shared libpython" +
                      (expected.empty() ? ", it was built without one"
                                        : " at " + expected + " (on Debian: apt install libpython" + version + ")") +
                      "; name another Python with --python PATH");
    return {libpython, executable};
}
