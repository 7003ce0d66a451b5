// UTF-8: names and labels come from other code, and both formats want nothing else.
#pragma once

namespace pyattach::trace {

// How many bytes of UTF-8 make the next character of a text that ends with a zero; 0: these bytes are not UTF-8.
inline int length_of_character(const unsigned char *at) noexcept {
    const auto follows = [at](int i) noexcept { return (at[i] & 0xc0) == 0x80; };
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] < 0xe0)
        return follows(1) ? 2 : 0;
    if (at[0] >= 0xe0 && at[0] < 0xf0) {
        const bool is_short = at[0] == 0xe0 && at[1] < 0xa0, is_surrogate = at[0] == 0xed && at[1] >= 0xa0;
        return follows(1) && follows(2) && !is_short && !is_surrogate ? 3 : 0;
    }
    if (at[0] >= 0xf0 && at[0] < 0xf5) {
        const bool is_out = (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90);
        return follows(1) && follows(2) && follows(3) && !is_out ? 4 : 0;
    }
    return 0;
}

// Puts a question mark in the place of each byte that is not part of UTF-8.
inline void make_utf8(char *text) noexcept {
    for (char *at = text; *at;) {
        const int length = length_of_character(reinterpret_cast<const unsigned char *>(at));
        if (length == 0)
            *at = '?';
        at += length ? length : 1;
    }
}

} // namespace pyattach::trace
