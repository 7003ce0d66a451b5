// Threads that get the same ident, one after the other. The ident is an address in the thread's stack, so threads that
// run on one stack share it.
#pragma once

#include <memory>
#include <new>
#include <pthread.h>

#include "support/expect.hpp"
#include "support/threads.hpp"

namespace support {

class recycled_ident {
  public:
    recycled_ident() : memory_(::operator new(size, std::align_val_t(page))) {}
    recycled_ident(const recycled_ident &) = delete;
    recycled_ident &operator=(const recycled_ident &) = delete;
    ~recycled_ident() { ::operator delete(memory_, std::align_val_t(page)); }

    // The previous thread must have ended.
    std::unique_ptr<task> start(const char *what, std::function<void()> function) {
        pthread_attr_t here;
        pthread_attr_init(&here);
        EXPECT(pthread_attr_setstack(&here, memory_, size) == 0);
        auto started = std::make_unique<task>(what, std::move(function), &here);
        pthread_attr_destroy(&here);
        return started;
    }
    void run(std::function<void()> function) {
        start("a thread of recycled_ident to end", std::move(function))->join();
    }

  private:
    static constexpr std::size_t page = 65536, size = 128 * page;
    void *const memory_;
};

} // namespace support
