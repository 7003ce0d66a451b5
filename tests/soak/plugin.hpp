// What a plugin of the soak exports.
#pragma once

// Uses the library in one way or another, on any thread, attached or not. 0, or the line of what went wrong.
extern "C" int plugin_use(unsigned choice);
// Attached: has the plugin's library register the interpreter, as the initializer of a module does. 0, or the line.
extern "C" int plugin_register();
