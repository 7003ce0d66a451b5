// A library whose static constructor calls the program that loads it: under the dynamic linker's lock.
#include <dlfcn.h>

static const int called = [] {
    if (auto *call = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "called_by_constructor")))
        call();
    return 1;
}();
