/* Detach-safe: which types may be handed to a function that runs detached. */
#ifndef PYATTACH_DETACH_SAFE_HPP
#define PYATTACH_DETACH_SAFE_HPP

#include "detail/cpp17.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "python_error.hpp"
#include "synchronized.hpp"

struct _typeobject; /* CPython's name for PyTypeObject */

namespace pyattach {
inline namespace abi1 {

class arena_token;

namespace detail {

/* What a pointer points to in the end. */
template <class T> struct pointee { using type = std::remove_cv_t<T>; };
template <class T> struct pointee<T *> : pointee<T> {};
template <class T> struct pointee<T *const> : pointee<T> {};
template <class T> struct pointee<T *volatile> : pointee<T> {};
template <class T> struct pointee<T *const volatile> : pointee<T> {};
template <class T> struct pointee<T[]> : pointee<T> {};
template <class T, std::size_t count> struct pointee<T[count]> : pointee<T> {};

/* Everything may be pointed to but Python objects, and what proves that the thread is attached. */
template <class T> struct is_safe_pointee : std::true_type {};
template <> struct is_safe_pointee<struct ::_object> : std::false_type {};
template <> struct is_safe_pointee<struct ::_typeobject> : std::false_type {};
template <> struct is_safe_pointee<token> : std::false_type {};
template <> struct is_safe_pointee<arena_token> : std::false_type {};
template <> struct is_safe_pointee<borrowed> : std::false_type {};

template <class T, bool is_array> struct is_safe_scalar;

} // namespace detail

/* Whether a T can do no harm on a detached thread: it is no proof of being attached, and leads to no Python object but
 * through an owned. Numbers, enumerations, and pointers, unless to a PyObject, are safe. Class types are refused unless
 * listed here, because what they hold cannot be seen. To vouch for one of yours:
 *
 *     template <> struct pyattach::detach_safe<job> : std::true_type {}; */
template <class T> struct detach_safe : detail::is_safe_scalar<T, std::is_array_v<T>> {};
template <class T> struct detach_safe<const T> : detach_safe<T> {};
template <class T> struct detach_safe<volatile T> : detach_safe<T> {};
template <class T> struct detach_safe<const volatile T> : detach_safe<T> {};
template <class T> struct detach_safe<T *> : detail::is_safe_pointee<typename detail::pointee<T>::type> {};
/* Who shares something across the border says so, with std::ref. */
template <class T> struct detach_safe<T &> : std::false_type {};
template <class T> struct detach_safe<T &&> : std::false_type {};

namespace detail {

template <class T> struct is_safe_scalar<T, false>
    : std::bool_constant<std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_null_pointer_v<T> ||
                         std::is_member_pointer_v<T> || std::is_function_v<T>> {};
template <class T> struct is_safe_scalar<T, true> : detach_safe<std::remove_all_extents_t<T>> {};

template <class... T> using all_safe = std::conjunction<detach_safe<T>...>;
/* Allocators, comparators, deleters: without state they hold nothing. */
template <class T> struct stateless_or_safe : std::bool_constant<std::is_empty_v<T> || detach_safe<T>::value> {};
template <class... T> using all_stateless_or_safe = std::conjunction<stateless_or_safe<T>...>;

} // namespace detail

/* What this library itself made for crossing. */
template <> struct detach_safe<owned> : std::true_type {};
template <> struct detach_safe<error> : std::true_type {};
template <> struct detach_safe<python_error> : std::true_type {};
template <> struct detach_safe<mutex> : std::true_type {};
template <class T> struct detach_safe<synchronized<T>> : detach_safe<T> {};

/* Texts, numbers, times and locks. */
template <class C, class T, class A> struct detach_safe<std::basic_string<C, T, A>>
    : detail::all_stateless_or_safe<C, A> {};
template <class C, class T> struct detach_safe<std::basic_string_view<C, T>> : std::true_type {};
template <class R, class P> struct detach_safe<std::chrono::duration<R, P>> : std::true_type {};
template <class C, class D> struct detach_safe<std::chrono::time_point<C, D>> : std::true_type {};
template <class T> struct detach_safe<std::atomic<T>> : detach_safe<T> {};
template <> struct detach_safe<std::mutex> : std::true_type {};
template <> struct detach_safe<std::recursive_mutex> : std::true_type {};

/* Containers. */
template <class T, std::size_t n> struct detach_safe<std::array<T, n>> : detach_safe<T> {};
template <class T, class A> struct detach_safe<std::vector<T, A>>
    : std::conjunction<detach_safe<T>, detail::stateless_or_safe<A>> {};
template <class T, class A> struct detach_safe<std::deque<T, A>>
    : std::conjunction<detach_safe<T>, detail::stateless_or_safe<A>> {};
template <class T, class A> struct detach_safe<std::list<T, A>>
    : std::conjunction<detach_safe<T>, detail::stateless_or_safe<A>> {};
template <class T, class A> struct detach_safe<std::forward_list<T, A>>
    : std::conjunction<detach_safe<T>, detail::stateless_or_safe<A>> {};
template <class K, class C, class A> struct detach_safe<std::set<K, C, A>>
    : std::conjunction<detach_safe<K>, detail::all_stateless_or_safe<C, A>> {};
template <class K, class C, class A> struct detach_safe<std::multiset<K, C, A>>
    : std::conjunction<detach_safe<K>, detail::all_stateless_or_safe<C, A>> {};
template <class K, class T, class C, class A> struct detach_safe<std::map<K, T, C, A>>
    : std::conjunction<detail::all_safe<K, T>, detail::all_stateless_or_safe<C, A>> {};
template <class K, class T, class C, class A> struct detach_safe<std::multimap<K, T, C, A>>
    : std::conjunction<detail::all_safe<K, T>, detail::all_stateless_or_safe<C, A>> {};
template <class K, class H, class E, class A> struct detach_safe<std::unordered_set<K, H, E, A>>
    : std::conjunction<detach_safe<K>, detail::all_stateless_or_safe<H, E, A>> {};
template <class K, class H, class E, class A> struct detach_safe<std::unordered_multiset<K, H, E, A>>
    : std::conjunction<detach_safe<K>, detail::all_stateless_or_safe<H, E, A>> {};
template <class K, class T, class H, class E, class A> struct detach_safe<std::unordered_map<K, T, H, E, A>>
    : std::conjunction<detail::all_safe<K, T>, detail::all_stateless_or_safe<H, E, A>> {};
template <class K, class T, class H, class E, class A> struct detach_safe<std::unordered_multimap<K, T, H, E, A>>
    : std::conjunction<detail::all_safe<K, T>, detail::all_stateless_or_safe<H, E, A>> {};
template <class T, class C> struct detach_safe<std::stack<T, C>> : detach_safe<C> {};
template <class T, class C> struct detach_safe<std::queue<T, C>> : detach_safe<C> {};
template <class T, class C, class L> struct detach_safe<std::priority_queue<T, C, L>>
    : std::conjunction<detach_safe<C>, detail::stateless_or_safe<L>> {};

/* Compounds. */
template <class T, class U> struct detach_safe<std::pair<T, U>> : detail::all_safe<T, U> {};
template <class... T> struct detach_safe<std::tuple<T...>> : detail::all_safe<T...> {};
template <class T> struct detach_safe<std::optional<T>> : detach_safe<T> {};
template <> struct detach_safe<std::nullopt_t> : std::true_type {};
template <class... T> struct detach_safe<std::variant<T...>> : detail::all_safe<T...> {};
template <> struct detach_safe<std::monostate> : std::true_type {};

/* Smart pointers, and std::ref, to what is safe itself. */
template <class T, class D> struct detach_safe<std::unique_ptr<T, D>>
    : std::conjunction<detach_safe<T>, detail::stateless_or_safe<D>> {};
template <class T> struct detach_safe<std::shared_ptr<T>> : detach_safe<T> {};
template <class T> struct detach_safe<std::weak_ptr<T>> : detach_safe<T> {};
template <class T> struct detach_safe<std::reference_wrapper<T>> : detach_safe<T> {};

} // namespace abi1
} // namespace pyattach
#endif
