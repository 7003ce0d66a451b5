// Where the Python is that the user means. Nothing here loads it.
#pragma once

#include <string>

struct python {
    std::string libpython;
    std::string program_name; // empty: only a libpython was named
};

// `path` as in options::python. May throw a refusal.
python find_python(const std::string &path);
