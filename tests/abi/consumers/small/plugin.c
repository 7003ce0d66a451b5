/* A plugin: brings Python into a program that knows neither Python nor libpyattach. Compiled as C and as C++. */
#ifdef __cplusplus
#include "answer.hpp"
#define EXPORT extern "C" __attribute__((visibility("default")))
#else
#include "answer.h"
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT int plugin_run(const char *libpython);

int plugin_run(const char *libpython) { return answer_of(libpython); }
