// A plugin host: a program that knows nothing of Python, and gets all of it from a plugin.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

#include "library.hpp"
#include "options.hpp"
#include "python.hpp"
#include "report.hpp"
#include "sources.hpp"

namespace {

enum outcome { good = 0, failed = 1, refused = 2 };

std::string standard_library(const plugin &counter) {
    char directory[4096];
    if (counter.standard_library(directory, sizeof directory) != 0)
        throw refusal("name a directory of Python sources");
    return directory;
}

// Every reference dropped must have been released by the end of its run.
outcome count(const plugin &counter, const std::vector<const char *> &paths, unsigned threads, report &shown) {
    plugin_counts counts;
    shown.begin_run(threads, paths.size());
    const auto begin = std::chrono::steady_clock::now();
    const int result = counter.count(paths.data(), paths.size(), threads, &counts);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    shown.end_run(counts, seconds.count());
    if (counts.dropped != counts.released)
        shown.message("some of what was dropped has not been released");
    return result == 0 && counts.dropped == counts.released ? good : failed;
}

outcome run(const options &wanted) {
    // What can be refused without Python is looked at before Python starts.
    std::string directory = wanted.directory;
    sources found;
    if (!directory.empty())
        found = find_sources(directory, true);
    const python place = find_python(wanted.python);
    const plugin &counter = load_plugin(wanted.plugin);

    report shown;
    const char *program_name = place.program_name.empty() ? nullptr : place.program_name.c_str();
    if (counter.start(&shown.host(), place.libpython.c_str(), program_name) != 0)
        return refused;
    char description[4096] = "";
    if (counter.describe(description, sizeof description) == 0)
        std::printf("Python %s\n", description);
    if (directory.empty()) {
        directory = standard_library(counter);
        found = find_sources(directory, false);
    }
    std::printf("%zu files below %s\n\n", found.files.size(), directory.c_str());
    for (const auto &[path, reason] : found.closed)
        shown.message((path + " cannot be entered: " + reason).c_str());

    std::vector<const char *> paths;
    for (const std::string &path : found.files)
        paths.push_back(path.c_str());
    outcome result = good;
    if (!wanted.trace.empty() && counter.start_trace() != 0)
        return failed;
    for (const unsigned threads : wanted.threads)
        if (count(counter, paths, threads, shown) != good)
            result = failed;
    if (!wanted.trace.empty()) {
        if (counter.write_trace(wanted.trace.c_str()) != 0)
            result = failed;
        else
            std::printf("\n%s is written: open it in a browser (.html), or at ui.perfetto.dev.\n",
                        wanted.trace.c_str());
    }
    // Nearly all of this work is Python's own.
    if (wanted.threads.size() > 1 && !std::strstr(description, "free-threaded"))
        std::printf(
            "\nThis Python has one lock for all threads, the GIL: they take turns, and more of them gain nothing.\n");
    if (counter.stop() != 0)
        return failed;
    if (result == good)
        std::printf("\nEverything dropped was released, and Python has ended.\n");
    return result;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const options wanted = read_options(argc, argv);
        if (!wanted.help)
            return run(wanted);
        std::fputs(usage, stdout);
        return good;
    } catch (const refusal &reason) {
        std::fprintf(stderr, "host: %s\n", reason.what());
        return refused;
    } catch (const std::exception &reason) {
        std::fprintf(stderr, "host: %s\n", reason.what());
        return failed;
    }
}
