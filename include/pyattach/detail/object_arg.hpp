/* Object argument: what functions of the C++ API accept for an object. */
#ifndef PYATTACH_DETAIL_OBJECT_ARG_HPP
#define PYATTACH_DETAIL_OBJECT_ARG_HPP

#include "cpp17.hpp"

#include "annotations.hpp"
#include "../base.h"

namespace pyattach {
inline namespace abi1 {

class borrowed;
class owned;
class shared_owned;

/* The type of a parameter that accepts any form of a Python object. It borrows the object for the duration of the call.
 */
class object_arg {
  public:
    /* Implicit conversions from a pointer (NULL where that is allowed), a borrowed, and an owned or a shared_owned that
     * outlives the call. */
    object_arg(struct ::_object *object) noexcept : object_(object) {}
    object_arg(borrowed object) noexcept;
    object_arg(const owned &object PYATTACH_LIFETIME_BOUND) noexcept;
    object_arg(const shared_owned &object PYATTACH_LIFETIME_BOUND) noexcept;

    /* The pointer; may be NULL. */
    struct ::_object *get() const noexcept {
        return object_;
    }

  private:
    struct ::_object *object_;
};

} // namespace abi1
} // namespace pyattach
#endif
