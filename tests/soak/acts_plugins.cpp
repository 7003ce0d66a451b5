// Acts: plugins that are loaded, used and unloaded again, attached or not.
#include <dlfcn.h>
#include <filesystem>

#include "soak/plugin.hpp"
#include "soak/soak.hpp"
#include "support/sub_interpreter.hpp"

namespace soak {
namespace {

// A file that is another file is another object to the loader, with a copy of the library of its own. Few, as what met
// Python stays in memory for good.
constexpr unsigned copies = 3;
std::string *paths() {
    static auto *const all = new std::string[copies + 1];
    return all;
}

// Up to 3.11 a copy of the library cannot see that a thread is attached to a sub-interpreter with a state that another
// copy made, and would wait for the GIL that its own thread holds.
// From 3.15 on what PyGILState looks at keeps the state of a life that ended. The library knows that of its own states,
// and not of those that other code made, as a plugin's own copy is: they seem to belong to the life that runs, and
// attaching them hangs for ever.
bool may_load(const actor &me) {
    return !me.is_in_child && !paths()[0].empty() && (!me.is_in_sub || support::sees_switches()) &&
           (on_stage().has_one_life || support::python_version() < 0x030f0000);
}

bool use(actor &me) {
    const unsigned choice = me.below(1000);
    // From inside Python the loader is asked detached: its lock is awaited by threads that load, whose initialisers may
    // want Python.
    const bool was_attached = pyattach_is_attached();
    pyattach_detached gap;
    if (was_attached)
        HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    const std::string &path = paths()[me.below(copies + 1)];
    on_stage().loader.lock_shared();
    void *plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    on_stage().loader.unlock_shared();
    if (!plugin)
        wrong(__FILE__, __LINE__, "a plugin does not load", dlerror());
    ++on_stage().loads;
    auto *call = reinterpret_cast<decltype(&plugin_use)>(dlsym(plugin, "plugin_use"));
    HOLDS(call);
    bool is_alive = !was_attached || pyattach_detached_end(&gap) == PYATTACH_OK;
    me.note("uses the plugin");
    const std::string line = "line " + std::to_string(call(choice));
    if (line != "line 0")
        wrong("plugin.cpp", 0, "a plugin met something", line.c_str());
    me.note("unloads the plugin");
    on_stage().loader.lock_shared();
    dlclose(plugin);
    on_stage().loader.unlock_shared();
    return is_alive;
}

} // namespace

void find_plugins(const std::string &folder) {
    for (unsigned i = 0; i < copies; ++i) {
        paths()[i] = folder + "/copy" + std::to_string(i) + ".so";
        std::filesystem::copy_file(SOAK_PLUGIN_STATIC, paths()[i]);
    }
    paths()[copies] = SOAK_PLUGIN_SHARED;
}

const std::vector<act> plugin_acts = {
    {"use a plugin", 2, use, may_load},
};

} // namespace soak
