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

/* Any form of a Python object, for the duration of a call: no reference is taken. For parameters only. */
class object_arg {
  public:
    /* Made without a word from a pointer (NULL where that is allowed), a borrowed, or an owned that outlives the call.
     */
    object_arg(struct ::_object *object) noexcept : object_(object) {}
    object_arg(borrowed object) noexcept;
    object_arg(const owned &object PYATTACH_LIFETIME_BOUND) noexcept;

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
