/* Detach-safe, of the standard library: which of its types may be handed to a function that runs detached. */
#ifndef PYATTACH_DETAIL_DETACH_SAFE_STD_HPP
#define PYATTACH_DETAIL_DETACH_SAFE_STD_HPP

#include "cpp17.hpp"

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

#include "../detach_safe.hpp"

namespace pyattach {
inline namespace abi1 {

namespace detail {

template <class... T> using all_safe = std::conjunction<detach_safe<T>...>;
/* Allocators, comparators and deleters hold nothing if they have no state. */
template <class T> struct stateless_or_safe : std::bool_constant<std::is_empty_v<T> || detach_safe<T>::value> {};
template <class... T> using all_stateless_or_safe = std::conjunction<stateless_or_safe<T>...>;

} // namespace detail

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
