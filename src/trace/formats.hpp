// Formats: a timeline as a file.
#pragma once

#include "trace/output.hpp"
#include "trace/timeline.hpp"

namespace pyattach::trace {

void write_chrome(output &to, const timeline &from) noexcept;
void write_html(output &to, const timeline &from) noexcept;
// False: no memory.
bool write_perfetto(output &to, const timeline &from) noexcept;

} // namespace pyattach::trace
