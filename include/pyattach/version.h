/* libpyattach: the version of these headers. Meson reads the three numbers from here; nothing else states them. */
#ifndef PYATTACH_VERSION_H
#define PYATTACH_VERSION_H

/* Raised by incompatible changes from 1.0 on. */
#define PYATTACH_VERSION_MAJOR 0
/* Raised by additions, and up to 1.0 by incompatible changes. */
#define PYATTACH_VERSION_MINOR 2
/* Raised by corrections. */
#define PYATTACH_VERSION_PATCH 0

/* One number that grows with the version; pyattach_version() returns the one the library was built from. */
#define PYATTACH_VERSION                                                                                               \
    ((PYATTACH_VERSION_MAJOR << 24) | (PYATTACH_VERSION_MINOR << 16) | (PYATTACH_VERSION_PATCH << 8))

#endif
