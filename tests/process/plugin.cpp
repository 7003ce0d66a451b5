// A plugin that links libpython, as plugin_host loads it. Which libpython is decided at run time: see plugin_test.cpp.
#include <cstdio>
#include <cstring>

#include "pyattach/pyattach.h"

namespace {

void say(const char *message, void *) { std::fprintf(stderr, "%s\n", message); }

// Extension modules that do not link libpython themselves, where this Python has such files.
constexpr const char *import_extensions =
    "import importlib, importlib.util\n"
    "for name in ('_decimal', '_ctypes', '_json', '_queue'):\n"
    "    found = importlib.util.find_spec(name)\n"
    "    if found and found.origin and found.origin.endswith('.so'): importlib.import_module(name)\n";

} // namespace

// What the plugin does first is `how`; then it starts Python and imports extension modules. NULL: it did.
extern "C" __attribute__((visibility("default"))) const char *plugin(const char *how, const char *libpython) {
    pyattach_set_message_handler(say, nullptr);
    if (!std::strcmp(how, "asks"))
        return pyattach_is_attached() ? "attached to a Python that does not run" : nullptr;
    if (!std::strcmp(how, "loads the one there is") && pyattach_python_load(nullptr) != PYATTACH_OK)
        return "pyattach_python_load(NULL) was refused";
    if (!std::strcmp(how, "loads it by its path") && pyattach_python_load(libpython) != PYATTACH_OK)
        return "pyattach_python_load(path) was refused";
    if (pyattach_interpreter_start() != PYATTACH_OK)
        return "Python did not start";
    pyattach_attached here;
    if (pyattach_attached_begin(&here) != PYATTACH_OK)
        return "not attached";
    static char message[1000];
    const bool is_imported = pyattach_run(import_extensions, nullptr, nullptr) == PYATTACH_OK;
    if (!is_imported) {
        pyattach_error_message(message, sizeof message);
        pyattach_error_clear();
    }
    pyattach_attached_end(&here);
    return is_imported ? nullptr : message;
}
