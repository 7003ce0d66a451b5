// Text line: text that is put together in a signal handler, where the C library's formatting must not be called.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyattach {

// Cut off at `size` characters less one, and always terminated.
class text_line {
  public:
    template <size_t size> explicit text_line(char (&storage)[size]) noexcept : text_(storage), room_(size - 1) {
        text_[0] = '\0';
    }

    text_line &operator<<(const char *text) noexcept {
        while (*text && length_ < room_)
            text_[length_++] = *text++;
        text_[length_] = '\0';
        return *this;
    }
    text_line &operator<<(uint64_t number) noexcept {
        char digits[21], *at = digits + sizeof digits - 1;
        for (*at = '\0'; number || !*at; number /= 10)
            *--at = static_cast<char>('0' + number % 10);
        return *this << at;
    }
    text_line &hex(uintptr_t number) noexcept {
        char digits[2 * sizeof number + 1], *at = digits + sizeof digits - 1;
        for (*at = '\0'; number || !*at; number /= 16)
            *--at = "0123456789abcdef"[number % 16];
        return *this << "0x" << at;
    }

    const char *text() const noexcept { return text_; }
    size_t length() const noexcept { return length_; }
    size_t left() const noexcept { return room_ - length_; }

  private:
    char *text_;
    size_t room_, length_ = 0;
};

} // namespace pyattach
