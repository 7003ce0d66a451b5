// Threads that keep what ended ones leave to the next, the library's record of a thread and its seat: so that a thread
// which begins while they live has to allocate its own, and can be refused them.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "support/scopes.hpp"
#include "support/threads.hpp"

class hoarders {
  public:
    // More than are left at most.
    static constexpr int enough = 24;

    hoarders() {
        for (int i = 0; i < enough; ++i)
            run([] { support::attached here; });
    }
    ~hoarders() { may_end_.count_down(); }
    hoarders(const hoarders &) = delete;
    hoarders &operator=(const hoarders &) = delete;

    // On a new thread, which then keeps what it has, too.
    void run(const std::function<void()> &function) {
        support::latch done("a function of a hoarder to return");
        std::exception_ptr thrown;
        threads_.push_back(std::make_unique<support::task>("a hoarder to end", [&, this] {
            try {
                function();
            } catch (...) {
                thrown = std::current_exception();
            }
            const support::latch &permission = may_end_; // what follows outlives what is named above
            done.count_down();
            permission.wait();
            (void)pyattach_thread_release(); // or a later thread would find its state, and have more to do than others
        }));
        done.wait();
        if (thrown)
            std::rethrow_exception(thrown);
    }

  private:
    support::latch may_end_{"permission for the hoarders to end"};
    std::vector<std::unique_ptr<support::task>> threads_;
};
