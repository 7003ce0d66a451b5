// Choice: which loaded objects are routed.
#include "preload/choice.hpp"

#include <cstdlib>
#include <cstring>

#include "platform/pattern.hpp"

namespace pyattach::preload {
namespace {

bool copy(const char *text, char *&into) noexcept {
    into = nullptr;
    if (!text || !*text)
        return true;
    into = strdup(text);
    return into;
}

bool one_matches(const char *patterns, const char *path) noexcept {
    const char *slash = std::strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char pattern[4096];
    for (const char *begin = patterns; *begin;) {
        const size_t length = std::strcspn(begin, ":");
        if (length && length < sizeof pattern) {
            std::memcpy(pattern, begin, length);
            pattern[length] = '\0';
            if (matches(pattern, std::strchr(pattern, '/') ? path : name))
                return true;
        }
        begin += length + (begin[length] == ':');
    }
    return false;
}

} // namespace

bool choice::set(const char *only, const char *except) noexcept {
    char *new_only = nullptr, *new_except = nullptr;
    if (!copy(only, new_only) || !copy(except, new_except)) {
        std::free(new_only);
        return false;
    }
    std::free(only_);
    std::free(except_);
    only_ = new_only;
    except_ = new_except;
    return true;
}

chosen choice::of(const elf::object &asked, const char *path, const route_table &table) const noexcept {
    if (asked.contains(table.routes[table.count - 1].routed) || asked.symbol(table.own_symbol))
        return chosen::not_at_all;
    // Its own calls belong to threads that Python made.
    if (asked.symbol(table.cpython_symbol))
        return chosen::loads_only;
    const bool is_left_out = (only_ && !one_matches(only_, path)) || (except_ && one_matches(except_, path));
    return is_left_out ? chosen::loads_only : chosen::all;
}

} // namespace pyattach::preload
