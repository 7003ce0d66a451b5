// A page that shows a trace: the viewer, with the trace as JSON in it.
#include <cstring>

#include "trace/formats.hpp"

namespace pyattach::trace {
namespace {

// The page, and the mark in it where the trace stands.
constexpr char viewer[] =
#include "trace/viewer.inc"
    ;
constexpr char mark[] = "/*TRACE*/";

} // namespace

void write_html(output &to, const timeline &from) noexcept {
    const char *at = std::strstr(viewer, mark);
    to.write(viewer, static_cast<size_t>(at - viewer));
    write_chrome(to, from);
    to.text(at + sizeof mark - 1);
}

} // namespace pyattach::trace
