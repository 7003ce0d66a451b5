// Hooks: the functions of this library that CPython calls at an interpreter's exit and around a fork.
#include "cpython/hooks.hpp"

#include <initializer_list>
#include <utility>

#include "cpython/exception.hpp"
#include "cpython/finalize.hpp"
#include "cpython/interp_dict.hpp"
#include "cpython/threading.hpp"

namespace pyattach::cpython {
namespace {

// PyMethodDef. Every version has these four fields.
struct method {
    const char *name;
    object *(*function)(object *self, object *unused);
    int flags;
    const char *doc;
};
constexpr int takes_no_arguments = 4;

callbacks hooks;

object *new_none() noexcept {
    python().incref(python().none);
    return python().none;
}

object *on_exit(object *capsule, object *) noexcept {
    hooks.on_exit(record_in(capsule));
    return new_none();
}

object *before_fork(object *, object *) noexcept {
    hooks.before_fork();
    return new_none();
}

object *after_fork_in_parent(object *, object *) noexcept {
    hooks.after_fork_in_parent();
    return new_none();
}

object *after_fork_in_child(object *, object *) noexcept {
    restart_interp_dicts();
    hooks.after_fork_in_child();
    return new_none();
}

method exit_method = {"pyattach_close", on_exit, takes_no_arguments, "Refuse, wake and await native threads."};
method before_fork_method = {"pyattach_before_fork", before_fork, takes_no_arguments, "Let thread states be made."};
method in_parent_method = {"pyattach_after_fork_in_parent", after_fork_in_parent, takes_no_arguments,
                           "Let them begin."};
method in_child_method = {"pyattach_after_fork", after_fork_in_child, takes_no_arguments,
                          "Let threads attach in the child."};

struct argument {
    const char *keyword; // NULL: the first positional argument
    method &callback;
};

// Calls module.function(callback, ...).
bool register_with(const char *module_name, const char *function_name, object *self,
                   std::initializer_list<argument> arguments) {
    const table &py = python();
    object *module = py.import_module(module_name);
    object *function = module ? py.get_attribute(module, function_name) : nullptr;
    bool is_positional = !arguments.begin()->keyword;
    object *positional = function ? py.tuple_new(is_positional ? 1 : 0) : nullptr;
    object *keywords = positional && !is_positional ? py.dict_new() : nullptr;
    bool is_complete = positional && (is_positional || keywords);
    for (const argument &wanted : arguments) {
        object *callable = is_complete ? py.function_new(&wanted.callback, self, nullptr) : nullptr;
        if (!callable)
            is_complete = false;
        else if (!is_positional)
            is_complete = py.dict_set(keywords, wanted.keyword, callable) == 0;
        else // PyTuple_SetItem steals the reference
            is_complete = py.tuple_set(positional, 0, std::exchange(callable, nullptr)) == 0;
        py.decref(callable);
    }
    object *result = is_complete ? py.call_object(function, positional, keywords) : nullptr;
    for (object *reference : {result, keywords, positional, function, module})
        py.decref(reference);
    return result != nullptr;
}

// One call registers all three: a hook before the fork without its counterpart would block new tstates for ever.
bool register_for_forks() {
    return register_with(
        "posix", "register_at_fork", nullptr,
        {{"before", before_fork_method}, {"after_in_parent", in_parent_method}, {"after_in_child", in_child_method}});
}

// Called once in each Python runtime, with the main interpreter. CPython has 32 entries for Py_AtExit. If all are
// taken, on_end is never called.
void expect_end(interp_state *interp) {
    const table &py = python();
    if (interp == py.main_interpreter() && py.at_exit(hooks.on_end) == 0)
        hooks.on_end_expected();
}

} // namespace

hook register_exit_hook(interp_state *interp, const callbacks &wanted) noexcept {
    kept_error kept;
    return guarded([&wanted, interp] {
        hooks = wanted;
        // A second attempt after a partial success registers a callback twice; its second call changes nothing. The
        // capsule is not found where memory is short, and a callback without it would crash at exit.
        object *capsule = record_capsule(interp);
        bool is_registered = capsule && import_threading(interp, hooks.on_helper_start) &&
                             register_with("atexit", "register", capsule, {{nullptr, exit_method}}) &&
                             register_for_forks();
        python().error_clear();
        if (!is_registered)
            return hook::failed;
        if (is_exit_under_way())
            return hook::too_late;
        expect_end(interp);
        return hook::registered;
    });
}

} // namespace pyattach::cpython
