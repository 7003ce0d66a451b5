// Words: those words of the loaded objects that have been replaced, and what they held before.
#include "preload/words.hpp"

#include <cstring>
#include <initializer_list>

namespace pyattach::preload {

unsigned words::route_of(const char *symbol) const noexcept {
    // Most symbols are told by their first letter.
    if (symbol[0] != 'P' && symbol[0] != '_' && symbol[0] != 'd')
        return table_.count;
    unsigned number = 0;
    while (number < table_.count && std::strcmp(table_.routes[number].symbol, symbol) != 0)
        ++number;
    return number;
}

const replaced_word *words::find(void **at) noexcept {
    for (growing<replaced_word> *list : {&words_, &earlier_words_})
        for (const replaced_word &word : *list)
            if (word.at == at)
                return &word;
    return nullptr;
}

void words::begin(const elf::generation &now, bool all_anew) noexcept {
    if (!all_anew && now.unloaded == visited_.unloaded)
        return;
    searched_ = 0;
    // Nothing was visited in the generation before, which has left the lists to this one.
    if (!objects_.size())
        return;
    earlier_words_.swap(words_);
    earlier_objects_.swap(objects_);
    words_.clear();
    objects_.clear();
}

void words::search(const elf::object &object, unsigned place) noexcept {
    if (place < searched_)
        return;
    searched_ = place + 1;
    if (!object.symbol(table_.cpython_symbol) || object.symbol(table_.own_symbol))
        return;
    for (unsigned i = 0; i < table_.count; ++i)
        if (!table_.routes[i].loads)
            plain_[i] = object.symbol(table_.routes[i].symbol);
    std::free(cpython_path_);
    cpython_path_ = strdup(object.path);
}

void words::replace(const elf::object &object, const got::word &found, bool loads_only) noexcept {
    const unsigned number = route_of(found.symbol);
    if (number == table_.count || (loads_only && !table_.routes[number].loads))
        return;
    const preload::route &route = table_.routes[number];
    void *now = got::read(found.at);
    if (found.is_variable && now != plain_[number] && now != route.routed && now != route.leaving)
        return;
    replaced_word word = {found.at, now, number};
    if (now == route.routed || (route.leaving && now == route.leaving)) {
        const replaced_word *known = find(found.at);
        word.before = known ? known->before : plain_[number];
    }
    if (!words_.add(word) || (now != route.routed && !got::write(object, found.at, route.routed))) {
        has_failed_ = true;
        return;
    }
    visited_object &owner = objects_[objects_.size() - 1];
    ++owner.words;
    owner.routes |= 1U << number;
}

// A thread that was binding a word lazily when it was replaced has written over it since.
void words::verify(const elf::object &object, const visited_object &known) noexcept {
    for (unsigned i = known.first_word; i < known.first_word + known.words; ++i) {
        const replaced_word &word = words_[i];
        void *wanted = table_.routes[word.route].routed;
        if (got::read(word.at) != wanted)
            got::write(object, word.at, wanted);
    }
}

void words::replace_in(const elf::object &object, unsigned place, const choice &choice, const char *program) noexcept {
    if (place < objects_.size())
        return verify(object, objects_[place]);
    const char *path = place == 0 && !object.path[0] ? program : object.path;
    if (!objects_.add({nullptr, object.base, static_cast<unsigned>(words_.size()), 0, 0, false})) {
        has_failed_ = true;
        return;
    }
    const chosen what = choice.of(object, path, table_);
    if (what == chosen::not_at_all)
        return;
    struct visitor {
        words &all;
        const elf::object &object;
        bool loads_only;
    } here = {*this, object, what == chosen::loads_only};
    got::for_each_word(
        object,
        [](const got::word &found, void *data) noexcept {
            const auto &each = *static_cast<visitor *>(data);
            each.all.replace(each.object, found, each.loads_only);
        },
        &here);
    visited_object &visited = objects_[place];
    if (!visited.words)
        return;
    visited.path = strdup(path);
    for (const visited_object &earlier : earlier_objects_)
        if (earlier.base == visited.base && earlier.path && std::strcmp(earlier.path, path) == 0)
            visited.is_reported = earlier.is_reported && earlier.routes == visited.routes;
}

void words::finish(const elf::generation &now) noexcept {
    visited_ = now;
    for (const visited_object &earlier : earlier_objects_)
        std::free(earlier.path);
    earlier_objects_.clear();
    earlier_words_.clear();
}

void words::undo(const elf::object &object) noexcept {
    struct visitor {
        words &all;
        const elf::object &object;
    } here = {*this, object};
    got::for_each_word(
        object,
        [](const got::word &found, void *data) noexcept {
            const auto &each = *static_cast<visitor *>(data);
            const route_table &table = each.all.table_;
            const unsigned number = each.all.route_of(found.symbol);
            if (number == table.count || got::read(found.at) != table.routes[number].routed)
                return;
            const replaced_word *known = each.all.find(found.at);
            void *leaving = table.routes[number].leaving;
            void *before = leaving ? leaving : known ? known->before : nullptr;
            if (before)
                each.all.has_failed_ |= !got::write(each.object, found.at, before);
        },
        &here);
}

bool words::take_failure() noexcept {
    const bool had_failed = has_failed_;
    has_failed_ = false;
    return had_failed;
}

} // namespace pyattach::preload
