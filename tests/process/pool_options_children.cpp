// What tests/abi/pool_options.py has this executable do, with libraries built with other options. Prints how many
// references wait in the pool after the drop, and how many the object has after the next drain.
#include <cstdio>

#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

template <class Drop> void drop_one(Drop drop) {
    start_python();
    attached here;
    ref object = new_object();
    EXPECT(pyattach_incref(object) == PYATTACH_OK);
    size_t waiting = drop(object.get());
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(pyattach_pool_size() == 0);
    std::printf("%zu %d\n", waiting, static_cast<int>(reference_count(object)));
}

} // namespace

CHILD("drop while attached") {
    drop_one([](object *reference) {
        pyattach_decref(reference);
        return pyattach_pool_size();
    });
}
CHILD("drop on a detached thread") {
    drop_one([](object *reference) {
        foreign_detach gap;
        run_on_thread([reference] { pyattach_decref(reference); });
        return pyattach_pool_size();
    });
}
CHILD("drop in a forbidden scope") {
    drop_one([](object *reference) {
        forbidden traverse;
        pyattach_decref(reference);
        return pyattach_pool_size();
    });
}
