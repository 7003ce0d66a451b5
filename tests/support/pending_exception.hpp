// For tests of calls that fail.
#pragma once

#include <string>

#include "support/python.hpp"

// Leaves a ValueError pending. Attached.
inline void raise_value_error(const char *text) {
    auto **type = static_cast<support::object **>(support::cpython_symbol("PyExc_ValueError"));
    support::cpython<void(support::object *, const char *)>("PyErr_SetString")(*type, text);
}

// The pending exception in words, taken away.
inline std::string take_error() {
    char text[400];
    size_t length = pyattach_error_message(text, sizeof text);
    pyattach_error_clear();
    return length ? text : "no exception";
}

// Its type alone.
inline std::string take_error_type() {
    std::string text = take_error();
    return text.substr(0, text.find(':'));
}
