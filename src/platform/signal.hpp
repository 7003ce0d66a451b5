// A signal that the program gives to this library.
#pragma once

#include <csignal>

namespace pyattach {

// Whether a handler may take the signal and return. Not those that no handler can take, nor those by which the kernel
// reports what an instruction has done, which would do it again.
bool may_be_taken(int signal) noexcept;

// The number of a signal that may be taken: of its name, such as USR1 or SIGUSR1, or of its digits. 0: it is none.
int signal_of_name(const char *name) noexcept;

class taken_signal {
  public:
    // Calls `handler` from now on, on any thread that does not block the signal. False: the system refuses.
    bool take(int signal, void (*handler)(int)) noexcept;
    // The handler before is there again, unless the program has set another one meanwhile.
    void give_back() noexcept;

  private:
    int signal_ = 0;
    void (*handler_)(int) = nullptr;
    struct sigaction before_ = {};
};

// The calling thread takes the signal, too, so that it comes where all threads of the program block it.
void unblock_signal(int signal) noexcept;

} // namespace pyattach
