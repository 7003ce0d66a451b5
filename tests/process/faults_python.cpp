// CPython's functions, each with one in its place that may be told to fail, or to end its thread. The list of them, and
// of those that may do that, is the library's own.
#include "faults.hpp"

#include <cstring>
#include <pthread.h>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cpython/table.hpp"
#include "support/python.hpp"

namespace faults {
namespace {

using namespace pyattach;
using namespace pyattach::cpython;

constexpr const char *function_names[] = {
#define REQUIRED(result, name, parameters, symbol, other) #name,
#define OPTIONAL REQUIRED
#include "../../src/cpython/functions.inc"
};
constexpr const char *symbol_names[][2] = {
#undef REQUIRED
#define REQUIRED(result, name, parameters, symbol, other) {symbol, other},
#include "../../src/cpython/functions.inc"
};
constexpr size_t functions = sizeof function_names / sizeof *function_names;
void *real[functions];
object **memory_error;

constexpr size_t index_of(std::string_view name) {
    size_t found = 0;
    while (function_names[found] != name)
        ++found;
    return found;
}

struct types {
    template <size_t index> using at = std::tuple_element_t<index, std::tuple<
#undef REQUIRED
#define REQUIRED(result, name, parameters, symbol, other) std::add_pointer_t<result parameters>,
#include "../../src/cpython/functions.inc"
                                                                       void>>;
};

// How a function fails: with an exception, or without one. What is not here cannot, or only if its arguments are wrong.
enum class way { none, raises, quiet };
constexpr way way_of(std::string_view name) {
    for (std::string_view text : {"import_module",
                                  "add_module",
                                  "add_module_owned",
                                  "compile",
                                  "compile_with",
                                  "eval_code",
                                  "dict_set",
                                  "dict_contains",
                                  "get_item",
                                  "del_item",
                                  "get_attribute",
                                  "set_attribute",
                                  "dict_new",
                                  "call_object",
                                  "call_positional",
                                  "is_true",
                                  "is_instance",
                                  "is_subclass",
                                  "str",
                                  "repr",
                                  "tuple_new",
                                  "tuple_set",
                                  "index",
                                  "long_as_int64",
                                  "long_from_int64",
                                  "float_as_double",
                                  "float_from_double",
                                  "utf8_of",
                                  "str_from_utf8",
                                  "str_encode",
                                  "bytes_view",
                                  "bytes_from",
                                  "capsule_new",
                                  "function_new",
                                  "error_warn",
                                  "check_signals"})
        if (text == name)
            return way::raises;
    for (std::string_view text : {"tstate_new", "interpreter_dict", "tstate_dict", "add_pending_call", "dict_get",
                                  "decode_locale", "config_start", "view_main", "guard_from_view"})
        if (text == name)
            return way::quiet;
    return way::none;
}

template <class Result> Result failure() {
    if constexpr (std::is_same_v<Result, init_outcome>)
        return {1, "faults", "made to fail by a test", 0};
    else if constexpr (std::is_pointer_v<Result>)
        return nullptr;
    else
        return static_cast<Result>(-1);
}

[[noreturn]] void end_this_thread() {
    if (support::cpython_says_attached())
        reinterpret_cast<void *(*)()>(real[index_of("save")])();
    pthread_exit(nullptr);
}

template <size_t index, class Function> struct interposer {
    static constexpr void *address = nullptr; // with further arguments of any kind: left alone
};
template <size_t index, bool may_be_unwound, class Result, class... Parameters> struct stand_in_for {
    static Result call(Parameters... given) {
        constexpr std::string_view name = function_names[index];
        if constexpr (may_be_unwound)
            if (ends_thread(function_names[index]))
                end_this_thread();
        constexpr way how = way_of(name);
        if constexpr (how != way::none)
            if (fails(of::python, function_names[index])) {
                if constexpr (how == way::raises)
                    reinterpret_cast<object *(*)(object *, const char *, ...)>(real[index_of("error_format")])(
                        *memory_error, "made to fail by a test");
                // It takes the reference over even then.
                if constexpr (name == "tuple_set")
                    reinterpret_cast<void (*)(object *)>(real[index_of("decref")])(std::get<2>(std::tuple(given...)));
                return failure<Result>();
            }
        return reinterpret_cast<Result (*)(Parameters...)>(real[index])(given...);
    }
    // What can neither fail nor end a thread is left alone; so is `save`, for the library looks where it is.
    static constexpr bool is_left_alone = std::string_view(function_names[index]) == "save" ||
                                          (!may_be_unwound && way_of(function_names[index]) == way::none);
    static inline void *const address = is_left_alone ? nullptr : reinterpret_cast<void *>(&call);
};
template <size_t index, class Result, class... Parameters> struct interposer<index, Result(Parameters...)>
    : stand_in_for<index, true, Result, Parameters...> {};
template <size_t index, class Result, class... Parameters> struct interposer<index, Result(Parameters...) noexcept>
    : stand_in_for<index, false, Result, Parameters...> {};

template <size_t... index> void *stand_in_at(size_t wanted, std::index_sequence<index...>) {
    void *found = nullptr;
    ((index == wanted ? void(found = interposer<index, std::remove_pointer_t<types::at<index>>>::address) : void()),
     ...);
    return found;
}

} // namespace

void *in_place_of(const char *symbol, void *address) {
    if (std::strcmp(symbol, "PyExc_MemoryError") == 0)
        memory_error = static_cast<object **>(address);
    for (size_t i = 0; i < functions; ++i)
        for (const char *name : symbol_names[i])
            if (name && std::strcmp(name, symbol) == 0) {
                void *ours = stand_in_at(i, std::make_index_sequence<functions>());
                real[i] = address;
                return ours ? ours : address;
            }
    return address;
}

const std::set<std::string> &python_functions() {
    static const std::set<std::string> all = [] {
        std::set<std::string> found;
        for (size_t i = 0; i < functions; ++i)
            if (way_of(function_names[i]) != way::none && real[i])
                found.insert(function_names[i]);
        return found;
    }();
    return all;
}

} // namespace faults
