// Ctrl-C, and other signals that Python handles, sent while the main thread waits.
#pragma once

#include <csignal>
#include <string>
#include <unistd.h>

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// Handles SIGINT in Python for the time of its life, by default with what Ctrl-C does. Constructed and destroyed on
// Python's main thread, attached.
class python_handler {
  public:
    explicit python_handler(const std::string &handler = "signal.default_int_handler") {
        run("import signal\nbefore_test = signal.signal(signal.SIGINT, " + handler + ")");
    }
    python_handler(const python_handler &) = delete;
    python_handler &operator=(const python_handler &) = delete;
    ~python_handler() { run("signal.signal(signal.SIGINT, before_test or signal.SIG_DFL)"); }
};

// Sends SIGINT once the main thread sleeps.
class interrupt {
  public:
    void join() { thread_.join(); }

  private:
    task thread_{"the sender of SIGINT to end", [] {
                     wait_until("the main thread to sleep", [] { return is_asleep(getpid()); });
                     EXPECT(kill(getpid(), SIGINT) == 0);
                 }};
};

} // namespace support
