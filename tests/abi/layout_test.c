/* The frozen layout: sizes, constants, initializers. Compiling it is most of the test. Also compiled as C++. */
#include "pyattach/pyattach.h"

#include <stdio.h>
#include <string.h>

#define HOLDS(name, condition) typedef char layout_##name[(condition) ? 1 : -1]
#define UNUSED(name) (void)sizeof(layout_##name)

HOLDS(attached, sizeof(pyattach_attached) == 8 * sizeof(void *));
HOLDS(detached, sizeof(pyattach_detached) == 8 * sizeof(void *));
HOLDS(section, sizeof(pyattach_critical_section) == 8 * sizeof(void *));
HOLDS(forbidden, sizeof(pyattach_forbidden) == 4 * sizeof(void *));
HOLDS(hold, sizeof(pyattach_hold) == 8 * sizeof(void *));
HOLDS(mutex, sizeof(pyattach_mutex) == 4 * sizeof(void *));
HOLDS(once, sizeof(pyattach_once) == 4 * sizeof(void *));
HOLDS(python_size, offsetof(pyattach_python, struct_size) == 0);
HOLDS(python_order, offsetof(pyattach_python, version_hex) < offsetof(pyattach_python, free_threaded) &&
                        offsetof(pyattach_python, free_threaded) < offsetof(pyattach_python, debug) &&
                        offsetof(pyattach_python, debug) < offsetof(pyattach_python, path));
HOLDS(options_size, offsetof(pyattach_start_options, struct_size) == 0);
HOLDS(options_order,
      offsetof(pyattach_start_options, program_name) < offsetof(pyattach_start_options, home) &&
          offsetof(pyattach_start_options, home) < offsetof(pyattach_start_options, isolated) &&
          offsetof(pyattach_start_options, isolated) < offsetof(pyattach_start_options, install_signal_handlers));
HOLDS(statuses, PYATTACH_OK == 0 && PYATTACH_NOT_INITIALIZED == 1 && PYATTACH_FINALIZING == 2 &&
                    PYATTACH_FORBIDDEN == 3 && PYATTACH_NOT_ATTACHED == 4 && PYATTACH_PYTHON_ERROR == 5 &&
                    PYATTACH_NO_MEMORY == 6 && PYATTACH_NO_PYTHON == 7 && PYATTACH_UNSUPPORTED == 8 &&
                    PYATTACH_TIMED_OUT == 9 && PYATTACH_INVALID == 10);
HOLDS(version,
      PYATTACH_VERSION == (PYATTACH_VERSION_MAJOR << 24 | PYATTACH_VERSION_MINOR << 16 | PYATTACH_VERSION_PATCH << 8));

static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
static pyattach_once once = PYATTACH_ONCE_INIT;

static pyattach_status nothing(void *arg) {
    (void)arg;
    return PYATTACH_OK;
}

int main(void) {
    const pyattach_mutex zeroed_mutex = PYATTACH_MUTEX_INIT;
    const pyattach_once zeroed_once = PYATTACH_ONCE_INIT;
    UNUSED(attached), UNUSED(detached), UNUSED(section), UNUSED(forbidden), UNUSED(hold), UNUSED(mutex), UNUSED(once);
    UNUSED(python_size), UNUSED(python_order), UNUSED(options_size), UNUSED(options_order), UNUSED(statuses),
        UNUSED(version);
    if (memcmp(&mutex, &zeroed_mutex, sizeof mutex) != 0 || memcmp(&once, &zeroed_once, sizeof once) != 0)
        return printf("an initializer says something else than zeroed memory\n"), 1;
    pyattach_mutex_lock(&mutex);
    pyattach_mutex_unlock(&mutex);
    if (memcmp(&mutex, &zeroed_mutex, sizeof mutex) != 0)
        return printf("an unlocked mutex differs from a new one\n"), 1;
    if (pyattach_once_run(&once, nothing, NULL) != PYATTACH_OK)
        return printf("a once in static memory does not run\n"), 1;
    return pyattach_version() == PYATTACH_VERSION ? 0 : 1;
}
