// Several copies of the library in one process: the shared one, and static ones that are loaded at will.
#pragma once

#include <cstddef>
#include <dlfcn.h>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "process/static_copy.hpp"
#include "support/expect.hpp"
#include "support/temporary_folder.hpp"

namespace support {

// The loader treats each file as an object of its own, with its own variables.
inline const copy_of_library *load_copy() {
    temporary_folder folder;
    std::string path = folder.path + "/copy.so";
    std::filesystem::copy_file(TESTS_STATIC_COPY, path);
    void *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_SENTENCE(module, dlerror());
    return reinterpret_cast<const copy_of_library *(*)()>(dlsym(module, "copy"))();
}

// The shared one, and `more` static ones.
inline std::vector<const copy_of_library *> copies(int more) {
    static const copy_of_library shared_copy = functions_of_this_copy();
    std::vector<const copy_of_library *> all = {&shared_copy};
    for (int i = 0; i < more; ++i)
        all.push_back(load_copy());
    std::set<void *> different;
    for (const copy_of_library *copy : all)
        different.insert(reinterpret_cast<void *>(copy->attached_begin));
    EXPECT(different.size() == all.size()); // or the loader bound them to one another
    return all;
}

} // namespace support
