// Output: a file that is written in large pieces.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyattach::trace {

class output {
  public:
    explicit output(int descriptor) noexcept : descriptor_(descriptor) {}
    output(const output &) = delete;
    output &operator=(const output &) = delete;

    void write(const void *data, size_t size) noexcept;
    void text(const char *text) noexcept;
    __attribute__((format(printf, 2, 3))) void print(const char *format, ...) noexcept;
    // UTF-8 as a JSON string, with its quotes. No '<', so that the string may stand in a page.
    void json(const char *text) noexcept;
    // Nanoseconds as microseconds with three decimals.
    void micros(int64_t ns) noexcept;

    // Writes what is left. 0, or the errno of the first write that failed.
    int finish() noexcept;

  private:
    void flush() noexcept;

    int descriptor_, failed_with_ = 0;
    size_t used_ = 0;
    char buffer_[16384];
};

} // namespace pyattach::trace
