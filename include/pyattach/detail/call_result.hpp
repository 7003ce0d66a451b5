/* Call result: the place for what a callback_function returns. */
#ifndef PYATTACH_DETAIL_CALL_RESULT_HPP
#define PYATTACH_DETAIL_CALL_RESULT_HPP

#include "cpp17.hpp"

#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "../calls.hpp"
#include "../conversion.hpp"
#include "misuse.hpp"
#include "../owned.hpp"
#include "../shared_owned.hpp"

namespace pyattach {
inline namespace abi1 {

/* Empty until a call has stored a result. */
template <class Result> class call_result {
    static_assert(!std::is_same_v<Result, std::string_view>,
                  "callback_function: the text would end with the call; let it return a std::string");

  public:
    /* Stores the result. */
    void set(Result &&result) { value_.emplace(std::move(result)); }
    /* Converts what Python returned, and stores that. */
    pyattach_status convert(token py, owned object) {
        if constexpr (std::is_same_v<Result, owned>) {
            set(std::move(object));
            return PYATTACH_OK;
        } else if constexpr (std::is_same_v<Result, shared_owned>) {
            const bool is_object = static_cast<bool>(object);
            shared_owned shared(std::nothrow, std::move(object));
            if (is_object && !shared)
                return PYATTACH_NO_MEMORY;
            set(std::move(shared));
            return PYATTACH_OK;
        } else {
            Result converted{};
            pyattach_status status = detail::to_value(py, object, converted);
            if (status == PYATTACH_OK)
                set(std::move(converted));
            return status;
        }
    }
    /* The result, or Result() if there is none. */
    Result take() {
        if (value_)
            return std::move(*value_);
        if constexpr (std::is_default_constructible_v<Result>)
            return Result();
        else
            detail::misuse("callback_function: the policy returned, and this type has no value to return.",
                           "A policy throws where the result has no default constructor.",
                           "Use throw_errors, or let the callable return a std::optional.");
    }

  private:
    std::optional<Result> value_;
};

/* Of a callable whose result is dropped. */
template <> class call_result<void> {
  public:
    /* Drops what Python returned. */
    static pyattach_status convert(token, owned) noexcept { return PYATTACH_OK; }
    static void take() noexcept {}
};

} // namespace abi1
} // namespace pyattach
#endif
