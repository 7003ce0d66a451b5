// GOT: the words of a loaded object that hold the addresses of symbols.
#include "platform/got.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace pyattach::got {
namespace {

// What each machine calls a word of the linkage table, one of the offset table, and an initialized variable.
#if defined(__x86_64__)
enum : uint32_t { jump_slot = R_X86_64_JUMP_SLOT, glob_dat = R_X86_64_GLOB_DAT, absolute = R_X86_64_64 };
#elif defined(__aarch64__)
enum : uint32_t { jump_slot = R_AARCH64_JUMP_SLOT, glob_dat = R_AARCH64_GLOB_DAT, absolute = R_AARCH64_ABS64 };
#else
#error "the relocations of this machine are not known"
#endif

} // namespace

void for_each_word(const elf::object &owner, void (*visit)(const word &, void *) noexcept, void *argument) noexcept {
    if (!owner.names || !owner.symbols)
        return;
    const auto *symbols = static_cast<const ElfW(Sym) *>(owner.symbols);
    const auto *names = static_cast<const char *>(owner.names);
    for (int part = 0; part < 2; ++part) {
        const auto *relocations = static_cast<const ElfW(Rela) *>(owner.relocations[part]);
        const size_t count = relocations ? owner.relocations_size[part] / sizeof *relocations : 0;
        for (size_t i = 0; i < count; ++i) {
            const auto type = static_cast<uint32_t>(ELF64_R_TYPE(relocations[i].r_info));
            const bool is_variable = type == absolute;
            if ((!is_variable && type != jump_slot && type != glob_dat) || relocations[i].r_addend)
                continue;
            auto **at = reinterpret_cast<void **>(owner.base + relocations[i].r_offset);
            // A relocation of code has no word that could be exchanged.
            if (!owner.is_writable(at))
                continue;
            visit({at, names + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name, is_variable}, argument);
        }
    }
}

void *read(void *const *at) noexcept { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

bool write(const elf::object &owner, void **at, void *value) noexcept {
    const auto address = reinterpret_cast<uintptr_t>(at);
    const bool is_protected = owner.read_only.contains(address);
    const auto page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void *page = reinterpret_cast<void *>(address & ~(page_size - 1));
    if (is_protected && mprotect(page, page_size, PROT_READ | PROT_WRITE))
        return false;
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    if (is_protected)
        mprotect(page, page_size, PROT_READ);
    return true;
}

} // namespace pyattach::got
