// Acts: plugins that are loaded, used and unloaded again, attached or not.
#include <dlfcn.h>
#include <filesystem>

#include "soak/plugin.hpp"
#include "soak/soak.hpp"
#include "support/sub_interpreter.hpp"

namespace soak {
namespace {

// The loader treats each file as an object of its own, with its own copy of the library. There are few, because a copy
// that has used Python is never unloaded.
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

// The loader is asked detached: other threads wait for its lock, which a thread that is attached must not do, and the
// initialisers and destructors of what is loaded may want Python.
template <class Function> bool detached(Function &&ask_loader) {
    pyattach_detached gap;
    const bool was_attached = pyattach_is_attached();
    if (was_attached)
        HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    on_stage().loader.lock_shared();
    ask_loader();
    on_stage().loader.unlock_shared();
    return !was_attached || pyattach_detached_end(&gap) == PYATTACH_OK;
}

bool use(actor &me) {
    const unsigned choice = me.below(1000);
    const std::string &path = paths()[me.below(copies + 1)];
    void *plugin = nullptr;
    decltype(&plugin_use) call = nullptr;
    bool is_alive = detached([&] {
        plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        call = plugin ? reinterpret_cast<decltype(call)>(dlsym(plugin, "plugin_use")) : nullptr;
    });
    if (!call)
        wrong(__FILE__, __LINE__, "a plugin does not load", path.c_str());
    ++on_stage().loads;
    me.note("uses the plugin");
    // Before 3.15 the very first attach of a copy of the library, racing with the end of Python, has nothing in CPython
    // to hold on to: it is parked there, and no thread may wait for this actor.
    --on_stage().actors_alive;
    const std::string line = "line " + std::to_string(call(choice));
    ++on_stage().actors_alive;
    if (line != "line 0")
        wrong("plugin.cpp", 0, "a plugin met something", line.c_str());
    me.note("unloads the plugin");
    if (is_alive)
        is_alive = detached([&] { dlclose(plugin); });
    else
        dlclose(plugin);
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
