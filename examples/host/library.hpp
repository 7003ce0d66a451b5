// The plugin, loaded.
#pragma once

#include <string>

#include "plugin.h"

// `path` as in options::plugin. It stays loaded for ever. May throw a refusal.
const plugin &load_plugin(const std::string &path);
