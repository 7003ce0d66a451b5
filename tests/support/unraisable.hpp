// What is reported as unraisable, while a test watches it. Attached.
#pragma once

#include <string>

#include "support/python.hpp"

namespace support {

inline void watch_unraisable() {
    run("import sys\nseen = []\nsys.unraisablehook = lambda what: seen.append(repr(what.exc_value))");
}
// Ends the watch, and returns all that was reported.
inline std::string unraisable() {
    const std::string reported = eval_text("str(seen)");
    run("sys.unraisablehook = sys.__unraisablehook__\ndel seen");
    return reported;
}

} // namespace support
