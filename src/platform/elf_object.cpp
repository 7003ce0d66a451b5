// ELF object: an executable or a library as the dynamic linker has loaded it.
#include "platform/elf_object.hpp"

#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

namespace pyattach::elf {
namespace {

void add(range (&ranges)[4], uintptr_t begin, size_t size) noexcept {
    for (range &each : ranges)
        if (each.begin == each.end) {
            each = {begin, begin + size};
            return;
        }
}

// The dynamic linkers differ in whether they write addresses into the dynamic section (glibc, but not in the kernel's
// own object) or leave those of the file there.
template <class T> void set(T &table, const object &owner, uintptr_t value) noexcept {
    table = reinterpret_cast<T>(value < owner.base ? owner.base + value : value);
}

void read_dynamic(object &read, const ElfW(Dyn) * entry) noexcept {
    for (; entry->d_tag != DT_NULL; ++entry) {
        const auto value = static_cast<uintptr_t>(entry->d_un.d_val);
        switch (entry->d_tag) {
        case DT_STRTAB: set(read.names, read, value); break;
        case DT_SYMTAB: set(read.symbols, read, value); break;
        case DT_GNU_HASH: set(read.gnu_hash, read, value); break;
        case DT_HASH: set(read.sysv_hash, read, value); break;
        case DT_JMPREL: set(read.relocations[0], read, value); break;
        case DT_PLTRELSZ: read.relocations_size[0] = value; break;
        case DT_RELA: set(read.relocations[1], read, value); break;
        case DT_RELASZ: read.relocations_size[1] = value; break;
        default: break;
        }
    }
}

object read_object(const dl_phdr_info &info) noexcept {
    object read = {};
    read.path = info.dlpi_name ? info.dlpi_name : "";
    read.base = info.dlpi_addr;
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const ElfW(Dyn) *dynamic = nullptr;
    for (unsigned i = 0; i < info.dlpi_phnum; ++i) {
        const auto &part = info.dlpi_phdr[i];
        const uintptr_t begin = read.base + part.p_vaddr;
        if (part.p_type == PT_DYNAMIC)
            dynamic = reinterpret_cast<const ElfW(Dyn) *>(begin);
        // The dynamic linker protects whole pages only.
        if (part.p_type == PT_GNU_RELRO)
            read.read_only = {begin & ~(page - 1), (begin + part.p_memsz) & ~(page - 1)};
        if (part.p_type == PT_LOAD && (part.p_flags & PF_W))
            add(read.writable, begin, part.p_memsz);
        if (part.p_type == PT_LOAD && (part.p_flags & PF_X))
            add(read.code, begin, part.p_memsz);
    }
    if (dynamic)
        read_dynamic(read, dynamic);
    return read;
}

const char *name_of(const object &owner, const ElfW(Sym) & symbol) noexcept {
    return static_cast<const char *>(owner.names) + symbol.st_name;
}

// The symbol at this index, if it is the wanted one.
const ElfW(Sym) * match(const object &owner, size_t index, const char *name) noexcept {
    const ElfW(Sym) &symbol = static_cast<const ElfW(Sym) *>(owner.symbols)[index];
    const unsigned type = ELF64_ST_TYPE(symbol.st_info);
    const bool is_exported = symbol.st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
                             type != STT_TLS && ELF64_ST_VISIBILITY(symbol.st_other) != STV_HIDDEN;
    return is_exported && std::strcmp(name_of(owner, symbol), name) == 0 ? &symbol : nullptr;
}

// Header: the number of buckets, the first symbol, the words of the filter and its shift. Each chain ends with an odd
// hash.
const ElfW(Sym) * find_gnu(const object &owner, const char *name) noexcept {
    uint32_t hash = 5381;
    for (const char *c = name; *c; ++c)
        hash = hash * 33 + static_cast<unsigned char>(*c);
    const uint32_t *table = owner.gnu_hash;
    const uint32_t buckets = table[0], first = table[1], filter_words = table[2];
    if (!buckets)
        return nullptr;
    const uint32_t *bucket = table + 4 + filter_words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    uint32_t index = bucket[hash % buckets];
    if (index < first)
        return nullptr;
    for (;; ++index) {
        const uint32_t here = chain[index - first];
        if ((here | 1) == (hash | 1))
            if (const auto *found = match(owner, index, name))
                return found;
        if (here & 1)
            return nullptr;
    }
}

const ElfW(Sym) * find_sysv(const object &owner, const char *name) noexcept {
    uint32_t hash = 0;
    for (const char *c = name; *c; ++c) {
        hash = (hash << 4) + static_cast<unsigned char>(*c);
        const uint32_t high = hash & 0xf0000000;
        hash = (hash ^ (high >> 24)) & ~high;
    }
    const uint32_t buckets = owner.sysv_hash[0];
    const uint32_t *bucket = owner.sysv_hash + 2, *chain = bucket + buckets;
    for (uint32_t index = buckets ? bucket[hash % buckets] : 0; index; index = chain[index])
        if (const auto *found = match(owner, index, name))
            return found;
    return nullptr;
}

generation generation_of(const dl_phdr_info &info) noexcept { return {info.dlpi_adds, info.dlpi_subs}; }

struct visitor {
    const generation &expected;
    void (*visit)(const object &, unsigned, void *) noexcept;
    void *argument;
    unsigned place;
};

} // namespace

bool object::contains(const void *address) const noexcept {
    for (const range &each : code)
        if (each.contains(reinterpret_cast<uintptr_t>(address)))
            return true;
    return false;
}

bool object::is_writable(const void *address) const noexcept {
    for (const range &each : writable)
        if (each.contains(reinterpret_cast<uintptr_t>(address)))
            return true;
    return false;
}

void *object::symbol(const char *name) const noexcept {
    if (!names || !symbols)
        return nullptr;
    const ElfW(Sym) *found = gnu_hash ? find_gnu(*this, name) : sysv_hash ? find_sysv(*this, name) : nullptr;
    return found ? reinterpret_cast<void *>(base + found->st_value) : nullptr;
}

generation complete_generation() noexcept {
    generation seen;
    dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *result) {
            *static_cast<generation *>(result) = generation_of(*info);
            return 1;
        },
        &seen);
    // The lock of dlopen, which dl_iterate_phdr does not take: whatever was in the list before is relocated after.
    Dl_info unused;
    dladdr(reinterpret_cast<const void *>(&complete_generation), &unused);
    return seen;
}

bool for_each_object(const generation &expected, void (*visit)(const object &, unsigned, void *) noexcept,
                     void *argument) noexcept {
    visitor caller = {expected, visit, argument, 0};
    return !dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *data) {
            auto &each = *static_cast<visitor *>(data);
            // The list does not change between two of these calls.
            if (each.place == 0 && !(generation_of(*info) == each.expected))
                return 1;
            const object shown = read_object(*info);
            each.visit(shown, each.place++, each.argument);
            return 0;
        },
        &caller);
}

} // namespace pyattach::elf
