// A program without Python that loads a plugin: plugin_host PLUGIN HOW LIBPYTHON. It prints whether libpython is in the
// global scope.
#include <cstdio>
#include <dlfcn.h>

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    void *handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    auto *plugin =
        reinterpret_cast<const char *(*)(const char *, const char *)>(handle ? dlsym(handle, "plugin") : nullptr);
    if (!plugin) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    // This program's own scope is the global one.
    if (!dlsym(handle, "Py_IsInitialized") || dlsym(RTLD_DEFAULT, "Py_IsInitialized")) {
        std::fprintf(stderr, "libpython is not in the plugin's scope, or in the global one from the start\n");
        return 2;
    }
    if (const char *failed = plugin(arguments[2], arguments[3])) {
        std::fprintf(stderr, "%s\n", failed);
        return 1;
    }
    std::printf("%s", dlsym(RTLD_DEFAULT, "Py_IsInitialized") ? "global" : "local");
    if (dlclose(handle) != 0)
        return 2;
    std::printf(", %s\n", dlopen(arguments[3], RTLD_LAZY | RTLD_NOLOAD) ? "stays" : "gone");
    return 0;
}
