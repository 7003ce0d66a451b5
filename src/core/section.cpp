// Section: the critical sections that are open on a thread.
#include "core/section.hpp"

#include "core/frames.hpp"
#include "cpython/guarded.hpp"
#include "platform/kept_errno.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {

void unlock_section(section_scope &scope) noexcept {
    const kept_errno kept;
    const cpython::table &py = cpython::python();
    cpython::guarded([&] { scope.is_pair ? py.section2_end(scope.storage) : py.section_end(scope.storage); });
}

bool abandon_sections(thread &me) noexcept {
    if (!cpython::python().sections_lock)
        return true;
    while (auto *scope = static_cast<section_scope *>(me.innermost_section)) {
        if (is_on_own_stack(scope) || scope->tag != tag::section || scope->owner != &me)
            return false;
        scope->tag = tag::ended;
        me.innermost_section = scope->outer;
        unlock_section(*scope);
    }
    return true;
}

} // namespace pyattach
