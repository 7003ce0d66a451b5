// Critical section: CPython's per-object lock of the free-threaded build.
#pragma once

#include "core/section.hpp"
#include "sync/mutex.hpp"

namespace pyattach {

namespace critical_section {

status begin(section_scope &, object *) noexcept;
status begin(section_scope &, object *, object *) noexcept;
status begin(section_scope &, mutex_storage *) noexcept;
status begin(section_scope &, mutex_storage *, mutex_storage *) noexcept;
void end(section_scope &) noexcept;

} // namespace critical_section
} // namespace pyattach
