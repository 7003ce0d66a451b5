// Follow: routes what is loaded, and what is loaded later.
//
// The mutex is held while the dynamic linker's list is visited, which takes a lock of the dynamic linker's under which
// it runs no other code. The lock under which it runs constructors is taken before the mutex, never under it.
#include "preload/follow.hpp"

#include <atomic>
#include <climits>
#include <cstdio>
#include <cstring>

#include "platform/fork_mutex.hpp"
#include "platform/kept_errno.hpp"
#include "platform/process.hpp"
#include "preload/report.hpp"
#include "preload/words.hpp"
#include "pyattach/gilstate.h"

namespace pyattach::preload {
namespace {

route_table table;
// Guarded by the mutex.
words replaced{table};
choice chosen_objects;
char program[PATH_MAX];
bool is_cpython_reported;

std::atomic<bool> is_on{false};

// So often other threads may load or unload an object between two looks at the list.
constexpr int most_attempts = 1000;

// Visits all objects in one state of the list. `visit` returns false if that was over before. False: other threads
// changed it each time.
bool visit_all(bool (*visit)(const elf::generation &now) noexcept) noexcept {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const elf::generation now = elf::complete_generation();
        fork_mutex::lock();
        const bool is_done = visit(now);
        fork_mutex::unlock();
        if (is_done)
            return true;
    }
    return false;
}

bool is_searched(const elf::generation &now) noexcept {
    return elf::for_each_object(
        now, [](const elf::object &shown, unsigned place, void *) noexcept { replaced.search(shown, place); }, nullptr);
}

template <bool all_anew> bool is_routed(const elf::generation &now) noexcept {
    // Another thread has undone routing meanwhile; or nothing is new.
    if (!is_on.load(std::memory_order_relaxed) || (!all_anew && replaced.is_visited(now)))
        return true;
    replaced.begin(now, all_anew);
    const bool is_done = is_searched(now) && elf::for_each_object(
                                                 now,
                                                 [](const elf::object &shown, unsigned place, void *) noexcept {
                                                     replaced.replace_in(shown, place, chosen_objects, program);
                                                 },
                                                 nullptr);
    if (is_done)
        replaced.finish(now);
    return is_done;
}

// Prints what is new, one line at a time, without the mutex.
void report_new() noexcept {
    char line[PATH_MAX + 600];
    for (bool is_more = true; is_more;) {
        is_more = false;
        fork_mutex::lock();
        if (replaced.cpython_path() && !is_cpython_reported) {
            is_cpython_reported = is_more = true;
            const char *path = replaced.cpython_path();
            std::snprintf(line, sizeof line, "CPython is in %s, whose own calls are not routed",
                          path[0] ? path : program);
        }
        for (visited_object &object : replaced.objects()) {
            if (is_more || object.is_reported || !object.path)
                continue;
            object.is_reported = true;
            is_more = write_routes(line, sizeof line, table, object.path, object.words, object.routes);
        }
        fork_mutex::unlock();
        if (is_more)
            report::line(line);
    }
}

bool route_all(bool all_anew) {
    const bool is_complete = visit_all(all_anew ? is_routed<true> : is_routed<false>);
    fork_mutex::lock();
    const bool has_failed = replaced.take_failure();
    fork_mutex::unlock();
    if (has_failed || !is_complete)
        report::failure("not all calls could be routed: memory is short, or a page cannot be written");
    if (report::is_verbose())
        report_new();
    // A module that is loaded into a running Python has the interpreter registered before its threads attach.
    pyattach_gilstate_register();
    return is_complete && !has_failed;
}

} // namespace

void use(const route_table &routes) noexcept {
    table = routes;
    path_of_program(program, sizeof program);
}

bool start(const char *only, const char *except) {
    const kept_errno kept;
    fork_mutex::lock();
    const bool has_choice = chosen_objects.set(only, except);
    fork_mutex::unlock();
    if (!has_choice)
        return false;
    is_on.store(true, std::memory_order_release);
    return route_all(true);
}

bool stop() noexcept {
    const kept_errno kept;
    is_on.store(false, std::memory_order_release);
    const bool is_complete = visit_all([](const elf::generation &now) noexcept {
        return elf::for_each_object(
            now, [](const elf::object &shown, unsigned, void *) noexcept { replaced.undo(shown); }, nullptr);
    });
    fork_mutex::lock();
    const bool has_failed = replaced.take_failure();
    fork_mutex::unlock();
    return is_complete && !has_failed;
}

void follow() {
    const kept_errno kept;
    if (is_on.load(std::memory_order_acquire))
        route_all(false);
}

void *plain(unsigned route) noexcept {
    fork_mutex::lock();
    void *address = replaced.plain(route);
    fork_mutex::unlock();
    return address;
}

bool has_found_python() noexcept {
    fork_mutex::lock();
    const bool is_found = replaced.cpython_path();
    fork_mutex::unlock();
    return is_found;
}

bool describe(unsigned number, routed_object &out) noexcept {
    if (!is_on.load(std::memory_order_acquire))
        return false;
    bool is_found = false;
    fork_mutex::lock();
    for (const visited_object &object : replaced.objects()) {
        if (!object.path || !has_routes(table, object.routes) || number--)
            continue;
        std::snprintf(out.path, sizeof out.path, "%s", object.path);
        out.words = object.words;
        out.routes = object.routes;
        is_found = true;
        break;
    }
    fork_mutex::unlock();
    return is_found;
}

} // namespace pyattach::preload
