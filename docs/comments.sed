# Makes Doxygen's comments of plain ones. The first of a file, and one that opens a section, is about the file; another that begins a
# line, also inside a class, is about what follows it; one behind code is about that code. The inline namespace is for linkers, not for readers.
1s,^/\*,/** @file\n *,
s,^\( \{1\,\}\)/\* --- .*[^/]$,\1/**,
s,^/\* --- \([^-]*[^- ]\) *-*$,/** @file\n * @par \1,
2,$s,^\( *\)/\*\( [^-]\),\1/**\2,
s,\([;{\,a-z0-9] *\) /\*\( [^-]\),\1 /**<\2,
/^inline namespace abi1 {$/d
/^} \/\/ namespace abi1$/d
