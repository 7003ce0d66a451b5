// The Python sources below a directory.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

struct sources {
    std::vector<std::string> files; // every *.py, sorted; also names that lead nowhere: opening them fails
    std::vector<std::pair<std::string, std::string>> closed; // directories that could not be entered, and why
};

// Links to directories are not followed: they may lead in circles. `installed`: also go into site-packages and
// dist-packages, which lie inside many a standard library and are no part of it. May throw a refusal.
sources find_sources(const std::string &directory, bool installed);
