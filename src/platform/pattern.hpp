// Pattern: a file's name, as a shell matches it.
#pragma once

namespace pyattach {

// Whether the pattern (*, ?, [...]) matches the whole text. A star matches slashes, too.
bool matches(const char *pattern, const char *text) noexcept;

} // namespace pyattach
