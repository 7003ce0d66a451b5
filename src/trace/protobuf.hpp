// Protobuf: the few field types that a trace needs. A message inside another one is built first, because its size comes
// before it.
#pragma once

#include <cstdint>
#include <cstring>

#include "trace/growing.hpp"

namespace pyattach::trace {

class message {
  public:
    void clear() noexcept { bytes_.clear(); }
    const char *data() const noexcept { return bytes_.data(); }
    size_t size() const noexcept { return bytes_.size(); }
    bool has_failed() const noexcept { return bytes_.has_failed(); }

    void number(uint32_t field, uint64_t value) noexcept {
        varint(uint64_t{field} << 3);
        varint(value);
    }
    void fixed64(uint32_t field, uint64_t value) noexcept {
        varint(uint64_t{field} << 3 | 1);
        for (int i = 0; i < 8; ++i)
            byte(static_cast<uint8_t>(value >> (8 * i)));
    }
    void bytes(uint32_t field, const void *data, size_t size) noexcept {
        varint(uint64_t{field} << 3 | 2);
        varint(size);
        if (char *added = size ? bytes_.extend(size) : nullptr)
            std::memcpy(added, data, size);
    }
    void text(uint32_t field, const char *value) noexcept { bytes(field, value, std::strlen(value)); }
    void inner(uint32_t field, const message &value) noexcept { bytes(field, value.data(), value.size()); }

  private:
    void byte(uint8_t value) noexcept { bytes_.push(static_cast<char>(value)); }
    void varint(uint64_t value) noexcept {
        for (; value >= 0x80; value >>= 7)
            byte(static_cast<uint8_t>(value | 0x80));
        byte(static_cast<uint8_t>(value));
    }

    growing<char> bytes_;
};

} // namespace pyattach::trace
