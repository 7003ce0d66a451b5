// Makes one error, the one it is told, so that a sanitizer which says nothing about the tests is known to be able to.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

int unguarded;

void race() {
    std::thread other([] { ++unguarded; });
    ++unguarded;
    other.join();
}

// The size is hidden from the compiler, which would warn.
void overrun(int size) {
    char *volatile memory = static_cast<char *>(std::malloc(static_cast<size_t>(size)));
    memory[size] = 1;
    std::free(memory);
}

int overflow(int number) { return INT_MAX + number; }

void leak(int size) {
    void *volatile memory = std::malloc(static_cast<size_t>(size));
    memory = nullptr;
    static_cast<void>(memory);
}

} // namespace

int main(int argc, char **argv) {
    const char *error = argc > 1 ? argv[1] : "none";
    if (std::strcmp(error, "race") == 0)
        race();
    else if (std::strcmp(error, "overrun") == 0)
        overrun(argc);
    else if (std::strcmp(error, "overflow") == 0)
        return overflow(argc) == 0;
    else if (std::strcmp(error, "leak") == 0)
        leak(argc);
    else
        std::printf("usage: control race|overrun|overflow|leak\n");
    return 0;
}
