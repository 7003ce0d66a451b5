// Report: what this library prints.
#include "preload/report.hpp"

#include <atomic>
#include <climits>
#include <cstdio>
#include <cstring>

#include "platform/process.hpp"

namespace pyattach::preload {

bool has_routes(const route_table &table, unsigned routes) noexcept {
    for (unsigned i = 0; i < table.count; ++i)
        if ((routes >> i & 1) && !table.routes[i].loads)
            return true;
    return false;
}

bool write_routes(char *line, size_t size, const route_table &table, const char *path, unsigned words,
                  unsigned routes) noexcept {
    if (!has_routes(table, routes))
        return false;
    auto length =
        static_cast<size_t>(std::snprintf(line, size, "routed %s: %u word%s", path, words, words == 1 ? "" : "s"));
    const char *before = " (";
    for (unsigned i = 0; i < table.count && length < size; ++i)
        if (routes >> i & 1) {
            length += static_cast<size_t>(
                std::snprintf(line + length, size - length, "%s%s", before, table.routes[i].symbol));
            before = ", ";
        }
    if (length < size)
        std::snprintf(line + length, size - length, ")");
    return true;
}

namespace report {
namespace {

// Set before the first line, and later only by the thread that routes anew.
std::atomic<bool> verbose{false};
char file[PATH_MAX];

void print(FILE *to, const char *text) noexcept {
    std::fprintf(to, "libpyattach-preload[%ld]: %s\n", process_number(), text);
}

} // namespace

bool set(const char *lines) noexcept {
    const bool is_wanted = lines && *lines && std::strcmp(lines, "0") != 0;
    const bool is_path = is_wanted && std::strcmp(lines, "1") != 0;
    bool is_open = true;
    file[0] = '\0';
    if (is_path) {
        FILE *opened = std::fopen(lines, "ae");
        is_open = opened;
        if (opened) {
            std::snprintf(file, sizeof file, "%s", lines);
            std::fclose(opened);
        }
    }
    verbose.store(is_wanted, std::memory_order_release);
    return is_open;
}

bool is_verbose() noexcept { return verbose.load(std::memory_order_acquire); }

void line(const char *text) noexcept {
    FILE *opened = file[0] ? std::fopen(file, "ae") : nullptr;
    print(opened ? opened : stderr, text);
    if (opened)
        std::fclose(opened);
}

void failure(const char *text) noexcept { print(stderr, text); }

} // namespace report
} // namespace pyattach::preload
