// Pattern: a file's name, as a shell matches it.
#include "platform/pattern.hpp"

#include <fnmatch.h>

namespace pyattach {

bool matches(const char *pattern, const char *text) noexcept { return fnmatch(pattern, text, 0) == 0; }

} // namespace pyattach
