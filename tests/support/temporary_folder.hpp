// A folder of the test's own where temporary files belong ($TMPDIR), removed at the end with all that is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/expect.hpp"

namespace support {

class temporary_folder {
  public:
    temporary_folder() {
        std::string pattern = std::filesystem::temp_directory_path() / "pyattach-test-XXXXXX";
        EXPECT(mkdtemp(pattern.data()));
        path = pattern;
    }
    // With a file in it.
    temporary_folder(const std::string &name, const std::string &text) : temporary_folder() {
        std::ofstream(path + "/" + name) << text;
    }
    temporary_folder(const temporary_folder &) = delete;
    temporary_folder &operator=(const temporary_folder &) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }

    std::string path;
};

} // namespace support
