// ELF object: an executable or a library as the dynamic linker has loaded it, and the tables in which it keeps names.
//
// The list of loaded objects changes under our hands, in two ways. An object that another thread unloads stays mapped
// while for_each_object() shows it. An object that another thread is loading is in the list before it is relocated, and
// what is written to it then is overwritten; and a page that is made read-only then is one that the dynamic linker is
// still writing to. So for_each_object() shows the list only where each object in it is complete.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyattach::elf {

struct range {
    uintptr_t begin = 0, end = 0;
    bool contains(uintptr_t address) const noexcept { return begin <= address && address < end; }
};

// Filled from the program headers and the dynamic section. A table that the object lacks is NULL.
struct object {
    const char *path;  // as the dynamic linker knows it; "": the program
    uintptr_t base;    // what is added to the addresses in the file
    const void *names; // the string table
    const void *symbols;
    const uint32_t *gnu_hash, *sysv_hash;
    const void *relocations[2]; // those of the linkage table, and the others
    size_t relocations_size[2];
    range read_only; // what the dynamic linker has made read-only after it relocated the object
    range writable[4];
    range code[4];

    bool contains(const void *address) const noexcept;
    bool is_writable(const void *address) const noexcept;
    // The address of a symbol that this object defines and exports, which is no thread-local; NULL: it has none.
    void *symbol(const char *name) const noexcept;
};

// The state of the list: it is the same at two times if nothing was loaded or unloaded in between.
struct generation {
    unsigned long long loaded = 0, unloaded = 0;
    bool operator==(const generation &other) const noexcept {
        return loaded == other.loaded && unloaded == other.unloaded;
    }
};

// Waits until no other thread loads an object, and returns the state of the list. Takes the dynamic linker's lock. A
// constructor may call this: it runs when the objects that its thread loads are relocated.
generation complete_generation() noexcept;
// Calls `visit` with each object and its place in the list, which grows at its end. `visit` must not call the dynamic
// linker. False: the list has been changed since `expected`, and nothing was visited.
bool for_each_object(const generation &expected,
                     void (*visit)(const object &shown, unsigned place, void *argument) noexcept,
                     void *argument) noexcept;

} // namespace pyattach::elf
