// The C++ face when memory is short: every allocation that may be refused is.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "pyattach/pyattach.hpp"
#include "tests_config.hpp"

using namespace pyattach;

#define CHECK(condition)                                                                                               \
    ((condition) ? void() : (std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), std::exit(1)))

namespace {

bool is_short;

const char *from_environment(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value && *value ? value : otherwise;
}

} // namespace

void *operator new(std::size_t size, const std::nothrow_t &) noexcept { return is_short ? nullptr : std::malloc(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void *operator new(std::size_t size) {
    if (void *memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}

namespace {

long long references(token py, const owned &object) {
    return py.to<long long>(py.call(py.get_attribute(py.import("sys"), "getrefcount"), object));
}

// The exception is dropped, and said to be one of memory.
void check_error(token py) {
    CHECK(pyattach_run("raise ValueError('lost')", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    is_short = true;
    python_error raised{py};
    python_error copy = raised;
    is_short = false;
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    CHECK(std::strncmp(copy.what(), "MemoryError: ", 13) == 0);
    CHECK(copy.get() == nullptr && !copy.matches(py.builtin("MemoryError")));
    copy.restore(py);
    python_error again{py};
    CHECK(std::strcmp(again.what(), copy.what()) == 0 && again.matches(py.builtin("MemoryError")));
}

// The reference is released at once; what was kept before stays.
void check_arena(token py) {
    owned object = py.eval("object()");
    long long before = references(py, object);
    {
        arena pool{py};
        is_short = true;
        while (pool.keep(std::nothrow, object.copy(py))) {
        }
        long long kept = static_cast<long long>(pool.size());
        CHECK(kept > 0 && references(py, object) == before + kept);
        bool is_refused = false;
        try {
            pool.token().from_owned_ptr(object.copy(py).release());
        } catch (const std::bad_alloc &) {
            is_refused = true;
        }
        CHECK(is_refused && references(py, object) == before + kept);
        is_short = false;
        CHECK(pool.keep(object.copy(py)));
    }
    CHECK(references(py, object) == before);
}

template <class Function> void check_refused(Function function) {
    bool is_refused = false;
    try {
        function();
    } catch (const std::bad_alloc &) {
        is_refused = true;
    }
    CHECK(is_refused);
}

// No reference is lost, and nothing is half made.
void check_owners(token py) {
    owned object = py.eval("object()");
    long long before = references(py, object);
    int ended = 0;
    auto count = [](int *number) { ++*number; };
    std::unique_ptr<int, void (*)(int *)> noted(&ended, count);
    is_short = true;
    owned copy = object.copy(py);
    CHECK(!shared_owned(std::nothrow, std::move(copy)) && copy.get() == object.get());
    check_refused([&] { shared_owned refused = std::move(copy); });
    CHECK((!callback_function<void()>(std::nothrow, py, object)));
    check_refused([&] { callback_function<void()>(py, object); });
    CHECK((!attached_only<owned>(std::nothrow, py, object.copy(py))));
    check_refused([&] { attached_only<owned>(py, object.copy(py)); });
    CHECK(!attached_deleter<int>(std::nothrow, py));
    CHECK((!attached_only<decltype(noted)>(std::nothrow, py, std::move(noted))));
    CHECK(ended == 1); // the value was destroyed
    is_short = false;
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    CHECK(!copy && references(py, object) == before);
}

} // namespace

int main() {
    CHECK(pyattach_python_load(from_environment("PYATTACH_TEST_LIBPYTHON", TESTS_LIBPYTHON)) == PYATTACH_OK);
    pyattach_start_options options{};
    options.struct_size = sizeof options;
    options.program_name = from_environment("PYATTACH_TEST_PYTHON", TESTS_PYTHON);
    CHECK(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    {
        attached here;
        check_error(here.token());
        check_arena(here.token());
        check_owners(here.token());
    }
    CHECK(pyattach_interpreter_stop() == PYATTACH_OK);
    return 0;
}
