// Choice: which loaded objects are routed.
#pragma once

#include "platform/elf_object.hpp"
#include "preload/route.hpp"

namespace pyattach::preload {

enum class chosen : unsigned char {
    not_at_all, // this library, and libpyattach
    loads_only, // CPython, or an object that the patterns leave out: what it loads may be routed
    all,
};

class choice {
  public:
    // Patterns with a colon between two of them; NULL or "": none. A pattern with a slash is for the path, another one
    // for the file's name. `only`: nothing but what one of these matches is routed. `except`: what one of these matches
    // is not. False: no memory, and the choice is what it was.
    bool set(const char *only, const char *except) noexcept;
    // `path`: that of the object, also if it is the program.
    chosen of(const elf::object &asked, const char *path, const route_table &table) const noexcept;

  private:
    char *only_ = nullptr, *except_ = nullptr;
};

} // namespace pyattach::preload
