// Acts: plugins that are loaded, used and unloaded again, attached or not.
#include <dlfcn.h>
#include <filesystem>

#include "soak/plugin.hpp"
#include "soak/soak.hpp"
#include "support/scopes.hpp"
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
// From 3.15 on the GILState slot keeps the tstate of a finalized generation. The library recognises tstates that it
// made itself, but not those of other code, such as a plugin's own copy: it takes them for current, and attaching
// hangs.
bool may_load(const actor &me) {
    return !me.is_in_child && !paths()[0].empty() && (!me.is_in_sub || support::sees_switches()) &&
           (on_stage().has_one_life || support::python_version() < 0x030f0000);
}

// The loader is called on a detached thread: an attached one must not wait for its lock, and the initializers and
// destructors of what is loaded may attach.
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

void *load(const std::string &path) {
    void *const plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        wrong(__FILE__, __LINE__, "a plugin does not load", path.c_str());
    return plugin;
}

template <class Function> Function find(void *plugin, const char *name) {
    void *const found = dlsym(plugin, name);
    HOLDS(found);
    return reinterpret_cast<Function>(found);
}

bool use(actor &me) {
    const unsigned choice = me.below(1000);
    // Hosts that know nothing of each other cannot register the plugins before the end: see register_plugins().
    const std::string &path = paths()[on_stage().has_two_hosts ? copies : me.below(copies + 1)];
    void *plugin = nullptr;
    decltype(&plugin_use) call = nullptr;
    bool is_alive = detached([&] {
        plugin = load(path);
        call = find<decltype(call)>(plugin, "plugin_use");
    });
    ++on_stage().loads;
    me.note("uses the plugin");
    const std::string line = "line " + std::to_string(call(choice));
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

// Before 3.15 the first attach of a copy of the library to an interpreter has nothing in CPython to hold on to, as a
// plain PyGILState_Ensure has not (docs/limits.md). If Python ends meanwhile, CPython ends that thread, or frees its
// thread state and makes a new GIL in the place of the one that it waits for: Python that is started again then runs on
// freed memory. So each copy registers the interpreter before its end begins, and the end waits for the threads that
// are in such an attach.
void register_plugins() {
    if (paths()[0].empty())
        return;
    for (unsigned i = 0; i < copies; ++i) {
        void *plugin = nullptr;
        (void)detached([&] { plugin = load(paths()[i]); }); // never unloaded, as it will have used Python
        support::attached inside;
        const int line = find<decltype(&plugin_register)>(plugin, "plugin_register")();
        if (line)
            wrong("plugin.cpp", line, "a plugin does not register");
    }
}

const std::vector<act> plugin_acts = {
    {"use a plugin", 2, use, may_load},
};

} // namespace soak
