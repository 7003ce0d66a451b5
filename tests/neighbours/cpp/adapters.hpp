// A module that uses this library through the casters of pybind11 or nanobind: what both bind. Object is the binding's
// own object type, whose destructor needs an attached thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "pyattach/pyattach.hpp"

namespace adapters {

// A class that only the binding can convert.
struct point {
    int x = 0, y = 0;
};

using sum_function = pyattach::callback_function<int(std::vector<int>)>;
using throwing_function = pyattach::callback_function<point(const point &, std::string), pyattach::throw_errors>;

template <class Object> struct module_of {
    // A struct of objects of the binding's, as a listener has.
    struct pair_of {
        Object first, second;
    };

    static inline pyattach::owned kept;
    static inline std::map<std::string, pyattach::shared_owned> named;
    static inline std::vector<std::function<int(std::vector<int>)>> functions;
    static inline std::vector<pyattach::attached_only<pair_of>> pairs;

    static void keep(pyattach::owned object) { kept = std::move(object); }
    static pyattach::owned take() { return std::move(kept); }
    static bool is_kept(const pyattach::owned &object) { return object.get() == kept.get(); }

    static void put(const std::string &name, pyattach::shared_owned object) { named[name] = std::move(object); }
    static pyattach::shared_owned get(const std::string &name) { return named[name]; }
    static void drop_on_thread() {
        std::thread([] { named.clear(); }).join();
    }

    static void keep_pair(Object first, Object second) {
        pairs.emplace_back(pyattach::token::assume(), pair_of{std::move(first), std::move(second)});
    }
    static Object first_of_pair() { return pairs.back().get(pyattach::token::assume())->first; }
    static void drop_pairs_on_thread() {
        std::thread([copies = std::move(pairs)]() mutable { copies.clear(); }).join();
        pairs.clear();
    }

    // Bound with detached_guard.
    static bool is_detached() { return !pyattach_is_attached(); }
    static int call_on_thread(sum_function function, const std::vector<int> &numbers) {
        int result = 0;
        std::thread([&] { result = function(numbers); }).join();
        return result;
    }
    static void call_throwing_on_thread(const throwing_function &function) {
        std::exception_ptr thrown;
        std::thread([&] {
            try {
                function(point{1, 2}, "text");
            } catch (...) {
                thrown = std::current_exception();
            }
        }).join();
        if (thrown)
            std::rethrow_exception(thrown);
    }

    static int call_throwing(const throwing_function &function, const point &argument) {
        point result = function(argument, "text");
        return result.x * result.y;
    }
    static sum_function same(sum_function function) { return function; }
    static bool is_empty(const sum_function &function) { return !function; }

    // Until the static destructors, which run after Python has ended.
    static void keep_function(sum_function function) { functions.push_back(std::move(function)); }
    // Calls until it is refused, on a thread that nobody joins.
    static void call_until_the_end(sum_function function) {
        std::thread([function] {
            while (function({1, 2}) == 3) {
            }
            for (;;)
                pause();
        }).detach();
    }

    static void raise() { pyattach::token::assume().eval("{}['missing']"); }
};

} // namespace adapters
