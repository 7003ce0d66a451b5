// Threads that come and go in a process with several copies of the library.
#include <cstdlib>

#include "process/copies.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/housekeeping.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

// Free-threaded, memory and objects belong to the ident of the thread that made them, and a new thread may get the
// ident of an ended one. No copy knows of the threads of another one, so none may leave a tstate to its housekeeper.
CHILD("threads of two copies that come and go") {
    start_python();
    housekeeping on;
    auto all = copies(1);
    {
        attached here;
        make_thread_local();
        run("def leave():\n"
            "    local.value = [{} for i in range(20)]\n"
            "    return 42\n");
    }
    auto come = [&all](int first) {
        for (int i = 0; i < 2; ++i) {
            pyattach_attached scope;
            const copy_of_library &through = *all[static_cast<size_t>(first + i) % 2];
            EXPECT(through.attached_begin(&scope) == PYATTACH_OK);
            object *result = nullptr;
            EXPECT(through.eval("leave()", nullptr, nullptr, &result) == PYATTACH_OK);
            through.decref(result);
            through.attached_end(&scope);
            if (first % 3)
                break;
        }
    };
    // Some begin while others end.
    run_on_threads(3, "threads that start others to end", [&](int starter) {
        for (int i = 0; i < 300; ++i)
            run_on_threads(4, "threads of two copies to end", [&, i](int number) { come(starter + i + number); });
    });
    std::_Exit(0);
}
TEST_CASE("threads of several copies may come and go, though they get one another's idents") {
    check_succeeds("threads of two copies that come and go");
}
