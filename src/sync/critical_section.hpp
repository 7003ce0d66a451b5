// Critical section: CPython's per-object lock of the free-threaded build.
#pragma once

#include "core/section.hpp"
#include "sync/mutex.hpp"

namespace pyattach {

// The contracts stand in include/pyattach/critical_section.h.
namespace critical_section {

status begin(section_scope &scope, object *obj) noexcept;
status begin(section_scope &scope, object *first, object *second) noexcept;
status begin(section_scope &scope, mutex_storage *mutex) noexcept;
status begin(section_scope &scope, mutex_storage *first, mutex_storage *second) noexcept;
void end(section_scope &scope) noexcept;

} // namespace critical_section
} // namespace pyattach
