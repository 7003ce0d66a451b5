// Thread exit: what the library does when a thread ends, whatever that thread has left open.
#pragma once

#include "core/thread.hpp"

namespace pyattach::thread_exit {

// The thread's exit hook. False: run it again after the destructors of others. Never waits for Python.
bool run(thread &me) noexcept;

} // namespace pyattach::thread_exit
