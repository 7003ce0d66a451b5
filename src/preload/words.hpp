// Words: those words of the loaded objects that have been replaced, and what they held before.
//
// The objects are in the dynamic linker's order, which new ones are added to at the end. So as long as nothing has been
// unloaded, the objects at the places that were visited are the same ones. Once anything has been, all are visited
// anew: a word is known to be replaced by what it holds, and what it held before is looked up by its address, since an
// object that is loaded where another one was holds its own addresses first.
#pragma once

#include "platform/got.hpp"
#include "preload/choice.hpp"
#include "preload/growing.hpp"
#include "preload/route.hpp"

namespace pyattach::preload {

struct replaced_word {
    void **at;
    void *before;
    unsigned route;
};

// What is at one place of the dynamic linker's list.
struct visited_object {
    char *path; // NULL: none of its words is replaced
    uintptr_t base;
    unsigned first_word, words;
    unsigned routes; // a bit for each route
    bool is_reported;
};

class words {
  public:
    explicit constexpr words(const route_table &table) noexcept : table_(table) {}

    // Before the objects are visited in a generation: whether all of them have to be, or only the new ones.
    void begin(const elf::generation &now, bool all_anew) noexcept;
    // Whether nothing was loaded or unloaded since the objects were visited.
    bool is_visited(const elf::generation &now) const noexcept { return objects_.size() && now == visited_; }
    // First all objects are searched for CPython, then all are routed.
    void search(const elf::object &object, unsigned place) noexcept;
    void replace_in(const elf::object &object, unsigned place, const choice &choice, const char *program) noexcept;
    void finish(const elf::generation &now) noexcept;
    // Gives each word of the object back what it held, or what leads there.
    void undo(const elf::object &object) noexcept;

    // Where calls of this route go that are not routed; NULL: no CPython was found.
    void *plain(unsigned route) const noexcept { return plain_[route]; }
    const char *cpython_path() const noexcept { return cpython_path_; }
    growing<visited_object> &objects() noexcept { return objects_; }
    // Whether a word could not be replaced since this was asked last.
    bool take_failure() noexcept;

  private:
    void verify(const elf::object &object, const visited_object &known) noexcept;
    void replace(const elf::object &object, const got::word &found, bool loads_only) noexcept;
    const replaced_word *find(void **at) noexcept;
    unsigned route_of(const char *symbol) const noexcept;

    const route_table &table_;
    growing<replaced_word> words_, earlier_words_;
    growing<visited_object> objects_, earlier_objects_;
    elf::generation visited_{};
    size_t searched_ = 0;
    void *plain_[most_routes] = {};
    char *cpython_path_ = nullptr;
    bool has_failed_ = false;
};

} // namespace pyattach::preload
