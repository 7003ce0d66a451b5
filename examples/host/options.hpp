// What the user asked for.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

// Something only the user can put right; its text is a sentence for them.
struct refusal : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct options {
    bool help = false;
    std::string python = "python3"; // an executable, also one on PATH, or a libpython
    std::string plugin;             // empty: the one beside this program
    std::string directory;          // empty: the standard library of that Python
    std::string trace;              // the file to write a trace to; empty: none
    std::vector<unsigned> threads = {1, 2};
};

extern const char usage[];

options read_options(int argc, char **argv); // may throw a refusal
