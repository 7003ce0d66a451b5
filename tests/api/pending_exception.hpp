// For tests of calls that fail.
#pragma once

#include <string>

#include "pyattach/pyattach.h"

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
