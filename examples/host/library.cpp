#include "library.hpp"

#include <filesystem>

#include <dlfcn.h>

#include "options.hpp"

namespace {

std::string find_plugin() {
    namespace fs = std::filesystem;
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    for (const fs::path &file : {here / "definitions.so", here.parent_path() / "plugin" / "definitions.so"})
        if (fs::exists(file))
            return file;
    throw refusal("there is no definitions.so beside this program, nor in ../plugin; name one with --plugin PATH");
}

} // namespace

const plugin &load_plugin(const std::string &path) {
    // A name without a slash would be looked for where the dynamic linker keeps its libraries.
    const std::string file = path.empty() ? find_plugin() : std::filesystem::absolute(path).string();
    // Local, as plugin hosts do: what the plugin and its libraries define is not seen by others.
    void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        throw refusal(std::string("the plugin cannot be loaded: ") + dlerror());
    const auto get = reinterpret_cast<plugin_get_function>(dlsym(library, "plugin_get"));
    if (get == nullptr)
        throw refusal(file + " is no plugin of this program: it has no function plugin_get");
    const plugin *it = get();
    if (it->version != PLUGIN_VERSION)
        throw refusal(file + " was made for another version of this program");
    return *it;
}
