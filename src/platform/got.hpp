// GOT: the words of a loaded object in which the dynamic linker has written, or will write, the address of a symbol of
// another object. Its calls of that symbol go through these words.
#pragma once

#include "platform/elf_object.hpp"

namespace pyattach::got {

struct word {
    void **at;
    const char *symbol;
    // The word is one of the program's own variables, initialized with the address, which the program may have changed.
    // False: it is in the global offset table, which only the dynamic linker writes.
    bool is_variable;
};

// Calls `visit` with each word of the object. Those of lazy binding are among them, bound or not: once a word is
// written, the dynamic linker has no more occasion to bind it, except on a thread that is binding it just then.
void for_each_word(const elf::object &owner, void (*visit)(const word &found, void *argument) noexcept,
                   void *argument) noexcept;

void *read(void *const *at) noexcept;
// Writes the word in one store, so that threads that call through it go one way or the other. The caller lets no other
// thread write a word of this object at the same time. False: the page cannot be made writable.
bool write(const elf::object &owner, void **at, void *value) noexcept;

} // namespace pyattach::got
