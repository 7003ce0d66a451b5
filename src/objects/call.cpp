// Calls: each function is one call of CPython between the same checks and the same status.
//
// That call stands inside one `guarded` and holds its references in plain pointers. If CPython ends the thread there,
// destructors would release references on a thread that is not attached.
#include "objects/call.hpp"

#include <cstring>

#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

// `make` returns a new reference, or NULL with an exception set.
template <class Make> status produce(bool is_valid, object **result, Make make) noexcept {
    if (result)
        *result = nullptr;
    if (!is_valid || !result)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    *result = guarded(make);
    return *result ? PYATTACH_OK : PYATTACH_PYTHON_ERROR;
}

// The size is larger than any Python object, so it was computed wrong.
status refuse_size(object **result, const char *function, size_t most) noexcept {
    static refusal_site too_large;
    if (result)
        *result = nullptr;
    return refused_with(PYATTACH_INVALID, too_large,
                        "%s: the size is out of range. It is at most %zu. Look for a subtraction below zero, or for a "
                        "variable that was never set.",
                        function, most);
}

// `act` returns true, or false with an exception set.
template <class Act> status perform(bool is_valid, Act act) noexcept {
    if (!is_valid)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    return guarded(act) ? PYATTACH_OK : PYATTACH_PYTHON_ERROR;
}

// Bits of a type's flags, by which CPython itself checks types. They are part of the stable ABI. Unlike isinstance(),
// reading them runs no code, and a `__class__` attribute does not change them.
enum class subclass_flag : unsigned long { str = 1ul << 28, dict = 1ul << 29 };

// False: `obj` has another type, and a TypeError is set.
bool require(subclass_flag wanted, const char *wanted_name, object *obj) {
    object *type = python().type_of(obj);
    bool is_wanted = python().type_flags(type) & static_cast<unsigned long>(wanted);
    if (!is_wanted) {
        object *name = python().get_attribute(type, "__name__");
        if (name)
            python().error_format(*python().type_error, "expected %s, %S found", wanted_name, name);
        python().decref(name);
    }
    python().decref(type);
    return is_wanted;
}

enum class code_kind : int { statements = 257, expression = 258 };

object *compile(const char *code, code_kind kind) {
    // Text in memory is UTF-8, whatever a coding line in it declares, as for Python's exec(). With this flag CPython no
    // longer skips a byte order mark, with which files often begin.
    struct {
        int flags = 0x0800;
        int feature_version = 0; // for syntax trees only
    } ignore_coding_line;
    constexpr int optimise_as_interpreter = -1;
    if (std::strncmp(code, "\xEF\xBB\xBF", 3) == 0)
        code += 3;
    return python().compile_with(code, "<string>", static_cast<int>(kind), &ignore_coding_line,
                                 optimise_as_interpreter);
}

object *own_main_module() {
    if (python().add_module_owned)
        return python().add_module_owned("__main__");
    object *borrowed = python().add_module("__main__");
    python().incref(borrowed);
    return borrowed;
}

// Adds `__builtins__` to the globals, as exec() does. PyEval_EvalCode does not add it: depending on the version, code
// in a dict without it has almost no builtins, or has them although the dict does not contain them.
bool add_builtins(object *globals) {
    constexpr const char *name = "__builtins__";
    return python().dict_get(globals, name) || python().dict_set(globals, name, python().builtins()) == 0;
}

object *execute(const char *code, code_kind kind, object *globals, object *locals) {
    object *compiled = compile(code, kind);
    if (!compiled)
        return nullptr;
    object *main = nullptr, *result = nullptr;
    if (!globals && (main = own_main_module()))
        globals = python().module_dict(main);
    if (globals && require(subclass_flag::dict, "dict", globals) && add_builtins(globals))
        result = python().eval_code(compiled, globals, locals ? locals : globals);
    python().decref(compiled);
    python().decref(main);
    return result;
}

} // namespace

status eval(const char *code, object *globals, object *locals, object **result) noexcept {
    return produce(code, result, [=] { return execute(code, code_kind::expression, globals, locals); });
}

status run(const char *code, object *globals, object *locals) noexcept {
    return perform(code, [=] {
        object *none = execute(code, code_kind::statements, globals, locals);
        python().decref(none);
        return none != nullptr;
    });
}

status import(const char *name, object **result) noexcept {
    return produce(name, result, [=] { return python().import_module(name); });
}

status check_signals() noexcept {
    return perform(true, [] { return python().check_signals() == 0; });
}

bool can_handle_signals() noexcept {
    thread_state *tstate = this_thread.forbidden ? nullptr : current_tstate();
    if (!tstate || python().error_occurred())
        return false;
    return python().can_handle_signals ? python().can_handle_signals() : is_main_tstate(tstate);
}

status get_attribute(object *from, const char *name, object **result) noexcept {
    return produce(from && name, result, [=] { return python().get_attribute(from, name); });
}

status set_attribute(object *on, const char *name, object *value) noexcept {
    // CPython deletes the attribute if the value is NULL.
    return perform(on && name, [=] { return python().set_attribute(on, name, value) == 0; });
}

status call(object *callable, object *const *args, size_t nargs, object **result) noexcept {
    // The bound is checked first, because no such array exists, and because the highest bit of nargs is a flag in
    // CPython.
    constexpr size_t most = PTRDIFF_MAX / sizeof(object *);
    if (nargs > most)
        return refuse_size(result, "pyattach_call", most);
    bool is_valid = callable && (args || nargs == 0);
    for (size_t i = 0; is_valid && i < nargs; ++i)
        is_valid = args[i];
    return produce(is_valid, result, [=] { return python().call_positional(callable, args, nargs, nullptr); });
}

status to_int64(object *from, int64_t *value) noexcept {
    return perform(from && value, [=] {
        // Without this, older versions convert every object that has __int__, floats included.
        object *integer = python().index(from);
        if (!integer)
            return false;
        long long found = python().long_as_int64(integer);
        python().decref(integer);
        if (found == -1 && python().error_occurred())
            return false;
        *value = found;
        return true;
    });
}

status to_double(object *from, double *value) noexcept {
    return perform(from && value, [=] {
        double found = python().float_as_double(from);
        if (found == -1.0 && python().error_occurred())
            return false;
        *value = found;
        return true;
    });
}

status to_bool(object *from, int *value) noexcept {
    return perform(from && value, [=] {
        int found = python().is_true(from);
        if (found < 0)
            return false;
        *value = found;
        return true;
    });
}

status to_utf8(object *from, const char **text, size_t *size) noexcept {
    if (text)
        *text = nullptr;
    return perform(from && text, [=] {
        ptrdiff_t length = 0;
        if (!require(subclass_flag::str, "str", from) || !(*text = python().utf8_of(from, &length)))
            return false;
        if (size)
            *size = static_cast<size_t>(length);
        return true;
    });
}

status to_bytes(object *from, const char **data, size_t *size) noexcept {
    if (data)
        *data = nullptr;
    return perform(from && data, [=] {
        char *found = nullptr;
        ptrdiff_t length = 0; // always passed, because without it CPython refuses bytes that contain a NUL
        if (python().bytes_view(from, &found, &length) < 0)
            return false;
        *data = found;
        if (size)
            *size = static_cast<size_t>(length);
        return true;
    });
}

status from_int64(int64_t value, object **result) noexcept {
    return produce(true, result, [=] { return python().long_from_int64(value); });
}

status from_double(double value, object **result) noexcept {
    return produce(true, result, [=] { return python().float_from_double(value); });
}

status from_bool(int value, object **result) noexcept {
    return produce(true, result, [=] { return python().bool_from_int(value); });
}

status from_utf8(const char *text, size_t size, object **result) noexcept {
    // CPython never gets NULL, from which it would make a str (or bytes) with undefined content.
    if (size > PTRDIFF_MAX)
        return refuse_size(result, "pyattach_from_utf8", PTRDIFF_MAX);
    return produce(text || size == 0, result,
                   [=] { return python().str_from_utf8(text ? text : "", static_cast<ptrdiff_t>(size)); });
}

status from_bytes(const char *data, size_t size, object **result) noexcept {
    if (size > PTRDIFF_MAX)
        return refuse_size(result, "pyattach_from_bytes", PTRDIFF_MAX);
    return produce(data || size == 0, result,
                   [=] { return python().bytes_from(data ? data : "", static_cast<ptrdiff_t>(size)); });
}

status str(object *of, object **result) noexcept {
    return produce(of, result, [=] { return python().str(of); });
}

status repr(object *of, object **result) noexcept {
    return produce(of, result, [=] { return python().repr(of); });
}

} // namespace pyattach::call
