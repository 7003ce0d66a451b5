// Scenarios that run with each kind of sub-interpreter that this Python has.
#pragma once

#include <string>
#include <vector>

#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"

namespace support {

inline std::vector<sub_interpreter::kind> kinds() {
    load_python();
    if (has_own_gils())
        return {sub_interpreter::legacy, sub_interpreter::own_gil};
    return {sub_interpreter::legacy};
}

// Runs a scenario with each kind of sub-interpreter.
inline void check_each_kind(const std::string &name) {
    for (auto kind : kinds())
        check_succeeds(name, {{kind == sub_interpreter::own_gil ? "own" : "legacy"}});
}
inline sub_interpreter::kind kind_asked_for() {
    return child_arguments().at(0) == "own" ? sub_interpreter::own_gil : sub_interpreter::legacy;
}

} // namespace support
