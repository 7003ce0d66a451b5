// Finalization in a fork child: exit callbacks run in the parent only, unless they were added for children.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/fork.hpp"

using namespace support;

namespace {

std::string order;
void append(pyattach_interpreter *, void *text) { order += static_cast<const char *>(text); }
char of_parent[] = "p", of_both[] = "b", of_child[] = "c", also_of_parent[] = "q";

pyattach_status add_for_children(char *text, int in_fork_child = 1) {
    pyattach_exit_callback_options options = {sizeof options, in_fork_child};
    return pyattach_exit_callback_add_with(pyattach_interpreter_main(), append, text, &options);
}

} // namespace

CHILD("fork exit: callbacks") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(pyattach_exit_callback_add(main, append, of_parent) == PYATTACH_OK);
    EXPECT(add_for_children(of_both) == PYATTACH_OK);
    EXPECT(add_for_children(also_of_parent, 0) == PYATTACH_OK);
    {
        attached here;
        fork_in_python([main] {
            EXPECT(pyattach_exit_callback_remove(main, append, of_parent) == PYATTACH_INVALID);
            EXPECT(pyattach_exit_callback_add(main, append, of_child) == PYATTACH_OK);
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
            EXPECT(order == "cb");
        });
        fork_in_python([main] {
            EXPECT(pyattach_exit_callback_remove(main, append, of_both) == PYATTACH_OK);
            EXPECT(pyattach_exit_callback_add(main, append, of_child) == PYATTACH_OK);
            fork_in_python([] {
                EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
                EXPECT(order.empty());
            });
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
            EXPECT(order == "c");
        });
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(order == "qbp");
}
TEST_CASE("a fork child that ends Python calls its own exit callbacks, and those that were asked for in children") {
    check_succeeds("fork exit: callbacks");
}

CHILD("fork exit: options") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    pyattach_exit_callback_options options = {};
    EXPECT(pyattach_exit_callback_add_with(main, append, of_both, &options) == PYATTACH_INVALID);
    EXPECT(pyattach_exit_callback_add_with(nullptr, append, of_both, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_exit_callback_add_with(main, nullptr, of_both, nullptr) == PYATTACH_INVALID);
    EXPECT(pyattach_exit_callback_add_with(main, append, of_both, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(order == "b");
    EXPECT(pyattach_exit_callback_add_with(main, append, of_both, nullptr) == PYATTACH_FINALIZING);
}
TEST_CASE("an exit callback with options is refused where one without is, and where their size is zero") {
    check_succeeds("fork exit: options");
}
