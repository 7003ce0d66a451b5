/* libpyattach: any native thread may use Python, safely. The C++ API; C++17 or later. */
#ifndef PYATTACH_PYATTACH_HPP
#define PYATTACH_PYATTACH_HPP

#include "detail/cpp17.hpp"

#include "pyattach.h"

#include "error.hpp"
#include "interpreter.hpp"
#include "token.hpp"
#include "attached.hpp"
#include "detached.hpp"
#include "warm_state.hpp"
#include "forbidden.hpp"
#include "hold.hpp"
#include "borrowed.hpp"
#include "owned.hpp"
#include "shared_owned.hpp"
#include "python_error.hpp"
#include "calls.hpp"
#include "type.hpp"
#include "detail/pointer.hpp"
#include "mutex.hpp"
#include "recursive_mutex.hpp"
#include "synchronized.hpp"
#include "critical_section.hpp"
#include "entered.hpp"
#include "once.hpp"
#include "once_value.hpp"
#include "detail/detach.hpp"
#include "locking.hpp"
#include "waiting.hpp"
#include "arena.hpp"
#include "callback.hpp"
#include "callback_function.hpp"
#include "attached_only.hpp"
#include "deleters.hpp"

#endif
