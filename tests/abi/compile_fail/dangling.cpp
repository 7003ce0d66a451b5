// Clang sees what does not live long enough.
// flags: -Wdangling -Werror
// compilers: clang
#include "pyattach/pyattach.hpp"

using namespace pyattach;

void forbidden_things(token py, std::string &&text) {
    owned kept = py.eval("1");
    struct _object *fine = kept.get();
    static_cast<void>(fine), static_cast<void>(text);

#if defined(CASE_pointer_of_temporary) // expect: temporary
    struct _object *gone = py.eval("1").get();
    static_cast<void>(gone);
#elif defined(CASE_guarded_of_temporary) // expect: temporary
    int &gone = *synchronized<int>(1).lock();
    static_cast<void>(gone);
#endif
}
