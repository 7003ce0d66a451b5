// Detached: others may run Python meanwhile.
#pragma once

#include "thread.hpp"

namespace pyattach {

union detached_scope {
    detached_scope() noexcept {}
    pyattach::tag tag;
    frame gap;
};

namespace detached {

status begin(detached_scope &) noexcept;
status end(detached_scope &) noexcept;

} // namespace detached
} // namespace pyattach
