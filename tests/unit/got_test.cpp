// The words through which a loaded object calls others, found and written in this program itself.
#include "support/catch.hpp"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <vector>

#include "platform/elf_object.hpp"
#include "platform/got.hpp"
#include "platform/loader_call.hpp"
#include "platform/pattern.hpp"

using namespace pyattach;

namespace {

struct found_word {
    elf::object owner;
    got::word word;
};

// Calls `visit` in a generation that other threads leave alone.
template <class Visit> void for_each_object(Visit visit) {
    while (!elf::for_each_object(
        elf::complete_generation(),
        [](const elf::object &shown, unsigned place, void *data) noexcept { (*static_cast<Visit *>(data))(shown, place); },
        &visit)) {
    }
}

std::vector<found_word> words_of_program(const char *symbol) {
    std::vector<found_word> result;
    for_each_object([&](const elf::object &shown, unsigned) {
        if (!shown.contains(reinterpret_cast<const void *>(&words_of_program)))
            return;
        struct visitor {
            const elf::object &shown;
            const char *symbol;
            std::vector<found_word> &result;
        } here = {shown, symbol, result};
        got::for_each_word(
            shown,
            [](const got::word &found, void *data) noexcept {
                auto &each = *static_cast<visitor *>(data);
                if (std::strcmp(found.symbol, each.symbol) == 0)
                    each.result.push_back({each.shown, found});
            },
            &here);
    });
    return result;
}

const char *other_getenv(const char *) { return "another one's"; }

// A variable that is initialized with the address of another object's function, and one that the program has changed.
long (*volatile variable)(long) = std::labs;

} // namespace

TEST_CASE("a call goes where its word says") {
    REQUIRE(setenv("PYATTACH_TEST_WORD", "as it is", 1) == 0);
    const auto words = words_of_program("getenv");
    REQUIRE(!words.empty());
    std::vector<void *> before;
    for (const auto &found : words) {
        CHECK(!found.word.is_variable);
        before.push_back(got::read(found.word.at));
        REQUIRE(got::write(found.owner, found.word.at, reinterpret_cast<void *>(&other_getenv)));
    }
    CHECK(std::string(std::getenv("PYATTACH_TEST_WORD")) == "another one's");
    for (size_t i = 0; i < words.size(); ++i)
        REQUIRE(got::write(words[i].owner, words[i].word.at, before[i]));
    CHECK(std::string(std::getenv("PYATTACH_TEST_WORD")) == "as it is");
}

TEST_CASE("a variable that holds an address is told from the offset table") {
    bool has_variable = false;
    for (const auto &found : words_of_program("labs"))
        if (found.word.is_variable && found.word.at == reinterpret_cast<void **>(const_cast<long (**)(long)>(&variable)))
            has_variable = true;
    CHECK(has_variable);
    CHECK(variable(-3) == 3);
}

TEST_CASE("a page that was read-only is so again") {
    for (const auto &found : words_of_program("getenv")) {
        const bool is_protected = found.owner.read_only.contains(reinterpret_cast<uintptr_t>(found.word.at));
        void *before = got::read(found.word.at);
        REQUIRE(got::write(found.owner, found.word.at, before));
        std::string maps;
        FILE *file = std::fopen("/proc/self/maps", "r");
        REQUIRE(file);
        char line[512];
        while (std::fgets(line, sizeof line, file)) {
            unsigned long long begin = 0, end = 0;
            char rights[8] = "";
            if (std::sscanf(line, "%llx-%llx %7s", &begin, &end, rights) == 3 &&
                elf::range{begin, end}.contains(reinterpret_cast<uintptr_t>(found.word.at)))
                CHECK((rights[1] == '-') == is_protected);
        }
        std::fclose(file);
    }
}

TEST_CASE("an object's own symbols are found, and only those") {
    unsigned defining = 0, first_is_program = 0;
    for_each_object([&](const elf::object &shown, unsigned place) {
        first_is_program += place == 0 && shown.contains(reinterpret_cast<const void *>(&words_of_program));
        void *address = shown.symbol("getenv");
        CHECK(!shown.symbol("there_is_no_such_symbol"));
        if (!address)
            return;
        ++defining;
        CHECK(shown.contains(address));
        CHECK(address == dlsym(RTLD_DEFAULT, "getenv"));
    });
    CHECK(defining == 1);
    CHECK(first_is_program == 1);
}

TEST_CASE("a list that has changed is not shown") {
    const elf::generation now = elf::complete_generation();
    elf::generation other = now;
    ++other.loaded;
    int shown = 0;
    const auto count = [](const elf::object &, unsigned, void *data) noexcept { ++*static_cast<int *>(data); };
    CHECK(!elf::for_each_object(other, count, &shown));
    CHECK(shown == 0);
    CHECK(elf::for_each_object(now, count, &shown));
    CHECK(shown > 1);
}

TEST_CASE("libraries are opened for their caller") {
    const void *caller = reinterpret_cast<const void *>(&words_of_program);
    void *all = loader::open_for(caller, nullptr, RTLD_NOW);
    REQUIRE(all);
    void *libc = loader::open_for(caller, "libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    if (libc)
        dlclose(libc);
    CHECK(!loader::open_for(caller, "libnotthere.so", RTLD_NOW));
    const char *error = dlerror();
    REQUIRE(error);
    CHECK(std::string(error).find("libnotthere.so") == 0);
    CHECK(!loader::open_for(caller, "libnotthere.so", RTLD_NOW));
    loader::clear_error();
    CHECK(!dlerror());
    dlclose(all);
}

TEST_CASE("patterns match whole texts") {
    CHECK(matches("*.so", "a.so"));
    CHECK(matches("/a/*", "/a/b/c.so"));
    CHECK(matches("lib?[ab].so", "libxa.so"));
    CHECK(!matches("a", "ab"));
}
