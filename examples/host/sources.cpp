#include "sources.hpp"

#include <algorithm>

#include "options.hpp"

namespace fs = std::filesystem;

namespace {

void collect(const fs::path &directory, bool installed, sources &found) {
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
        std::error_code unknown; // an error is reported when the file is read
        const fs::path &path = entries->path();
        const fs::path name = path.filename();
        if (entries->is_directory(unknown)) {
            const bool is_extra = name == "site-packages" || name == "dist-packages";
            if (!entries->is_symlink(unknown) && (installed || !is_extra))
                collect(path, installed, found);
        } else if (name.extension() == ".py" && (entries->is_regular_file(unknown) || !entries->exists(unknown))) {
            found.files.push_back(path.string());
        }
    }
    if (error)
        found.closed.emplace_back(directory.string(), error.message());
}

} // namespace

sources find_sources(const std::string &directory, bool installed) {
    std::error_code error;
    if (!fs::is_directory(directory, error))
        throw refusal("there is no directory " + directory);
    sources found;
    collect(directory, installed, found);
    if (found.files.empty())
        throw refusal("there is no Python source (*.py) below " + directory +
                      (found.closed.empty() ? "" : ": " + found.closed.front().second));
    std::sort(found.files.begin(), found.files.end());
    return found;
}
