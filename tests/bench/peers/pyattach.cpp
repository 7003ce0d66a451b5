// This library, through its C ABI and the shared library, and through its C++ face.
#include <cstdlib>

#include <pyattach/pyattach.h>
#include <pyattach/pyattach.hpp>

#include "peers.hpp"
#include "python.hpp"

namespace bench {
namespace {

// As a user looks at it.
void must(pyattach_status status) {
    if (__builtin_expect(status != PYATTACH_OK, 0))
        std::abort();
}

void nested(long n) {
    for (; n; --n) {
        pyattach_attached here;
        must(pyattach_attached_begin(&here));
        pyattach_attached_end(&here);
    }
}

void call_attached(object *function, long n) {
    for (; n; --n) {
        pyattach_attached here;
        must(pyattach_attached_begin(&here));
        call(function);
        pyattach_attached_end(&here);
    }
}

void nested_cpp(long n) {
    for (; n; --n)
        pyattach::attached here;
}

void assume(long n) {
    for (; n; --n) {
        pyattach_attached here;
        must(pyattach_attached_assume(&here));
        pyattach_attached_end(&here);
    }
}

void detach(long n) {
    for (; n; --n) {
        pyattach_detached gap;
        must(pyattach_detached_begin(&gap));
        must(pyattach_detached_end(&gap));
    }
}

void detach_cpp(long n) {
    pyattach::token py = pyattach::token::assume();
    for (; n; --n)
        pyattach::detached gap{py};
}

void drop_attached(object *one, long n) {
    for (; n; --n)
        pyattach_decref(one);
}

void drop(object *const *references, long n) {
    for (long i = 0; i < n; ++i)
        pyattach_decref(references[i]);
}

// Only attaches, as a program does that never calls pyattach_pool_drain: each releases what the budget allows.
void drain() {
    do
        nested(1);
    while (pyattach_pool_size() != 0);
}

void section(object *one, long n) {
    for (; n; --n) {
        pyattach_critical_section here;
        must(pyattach_critical_section_begin(&here, one));
        pyattach_critical_section_end(&here);
    }
}

void section2(object *one, object *two, long n) {
    for (; n; --n) {
        pyattach_critical_section here;
        must(pyattach_critical_section_begin2(&here, one, two));
        pyattach_critical_section_end(&here);
    }
}

pyattach_mutex first = PYATTACH_MUTEX_INIT, second = PYATTACH_MUTEX_INIT;

void section_mutex(long n) {
    for (; n; --n) {
        pyattach_critical_section here;
        must(pyattach_critical_section_begin_mutex(&here, &first));
        pyattach_critical_section_end(&here);
    }
}

void section_mutex2(long n) {
    for (; n; --n) {
        pyattach_critical_section here;
        must(pyattach_critical_section_begin_mutex2(&here, &first, &second));
        pyattach_critical_section_end(&here);
    }
}

void mutex(long n) {
    for (; n; --n) {
        pyattach_mutex_lock(&first);
        pyattach_mutex_unlock(&first);
    }
}

peer with_c() {
    peer it = {"pyattach"};
    it.nested = it.attach = nested;
    it.detach = detach;
    it.call = call_attached;
    it.drop_attached = drop_attached;
    it.drop = drop;
    it.drain = drain;
    it.section = section;
    it.section2 = section2;
    it.section_mutex = section_mutex;
    it.section_mutex2 = section_mutex2;
    it.mutex = mutex;
    return it;
}

peer with_cpp() {
    peer it = {"pyattach C++"};
    it.nested = it.attach = nested_cpp;
    it.detach = detach_cpp;
    return it;
}

peer with_assume() {
    peer it = {"pyattach assume"};
    it.nested = assume;
    return it;
}

} // namespace

const peer pyattach_c = with_c(), pyattach_cpp = with_cpp(), pyattach_assume = with_assume();

} // namespace bench
