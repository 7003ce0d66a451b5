// CPython's own words for the current state and for a pending exception, read without a call.
#include "cpython/layout.hpp"
#include "core/interpreter.hpp"

#include "support/pending_exception.hpp"
#include "support/tstate_counts.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "unit/equal_words.h"

#include <dlfcn.h>
#include <link.h>

using namespace support;
namespace cpython = pyattach::cpython;

namespace {

bool is_known_version() { return !is_debug_build() && python_version() < 0x03100000; }

cpython::thread_state *own_state() { return cpython::python().current(); }

// Twice attached, so warm the second time.
void come_and_go() {
    for (int i = 0; i < 3; ++i) {
        attached here, again;
        ref one = new_object(), other = new_object();
        CHECK(cpython_says_attached());
        {
            detached detached_frame;
            CHECK(!cpython_says_attached());
            one.drop();
        }
        CHECK(cpython_says_attached());
        other.drop();
    }
    CHECK(!cpython_says_attached());
}

} // namespace

TEST_CASE("the places of every known version are found, and say what CPython says") {
    start_python();
    run_on_thread([] {
        attached here;
        REQUIRE(cpython::is_layout_trusted() == is_known_version());
        if (!is_known_version())
            return;
        cpython::thread_state *mine = own_state();
        cpython::thread_state *const *at = cpython::current_at();
        REQUIRE(at != &cpython::unknown);
        CHECK(pyattach::this_thread.record()->current_at == at);
        CHECK(*at == mine);
        {
            foreign_detach detached_frame;
            CHECK(*at != mine);
        }
        CHECK(*at == mine);
        CHECK(!cpython::has_exception(mine));
        pyattach::object *none = nullptr;
        CHECK(pyattach_eval("1 / 0", nullptr, nullptr, &none) == PYATTACH_PYTHON_ERROR);
        CHECK(cpython::has_exception(mine));
        CHECK(take_error() == "ZeroDivisionError: division by zero");
        CHECK(!cpython::has_exception(mine));
        {
            detached detached_frame;
            run_on_thread([at] {
                attached again;
                CHECK(*cpython::current_at() == own_state());
                // From 3.12 each thread has its own.
                CHECK((cpython::current_at() == at) == !cpython::python().current_is_own);
            });
        }
    });
}

TEST_CASE("places that do not answer as CPython does are not trusted") {
    start_python();
    attached here;
    for (unsigned wrong : {0, 8, 16, 200}) // links, the interpreter, something else
        CHECK(!cpython::is_exception_at(wrong));
    cpython::thread_state *const mine = own_state(), *const none = nullptr;
    CHECK(!cpython::is_current_at(&mine)); // also while the thread is detached
    CHECK(!cpython::is_current_at(&none));
    CHECK(cpython_says_attached());
    CHECK(take_error() == "no exception");
}

TEST_CASE("a switch to another state is seen there") {
    start_python();
    attached here;
    if (!cpython::is_layout_trusted())
        return;
    cpython::thread_state *const mine = own_state();
    cpython::thread_state *const *at = cpython::current_at();
    sub_interpreter other;
    other.inside([=] {
        CHECK(*at != mine);
        CHECK(*at == own_state());
    });
    CHECK(*at == mine);
}

TEST_CASE("the thread-local is found where there is one") {
    start_python();
    attached here;
    size_t index[2] = {0, 0};
    CHECK(cpython::find_current(index) == (python_version() >= 0x030c0000));
    if (index[0] != 0 && cpython::is_layout_trusted()) {
        CHECK(cpython::trusted.module == index[0]);
        CHECK(cpython::trusted.offset == index[1]);
    }
    CHECK(cpython_says_attached());
}

TEST_CASE("references are counted at the head of an object") {
    start_python();
    attached here;
    using cpython::counting;
    const counting how = python_version() < 0x030c0000 ? counting::in_64_bits : counting::in_32_bits;
    const bool is_free_threaded = cpython::python().free_threaded;
    CHECK(cpython::trusted.counting == (is_known_version() && !is_free_threaded ? how : counting::by_call));
    CHECK(!cpython::is_counted(counting::by_call));
    if (is_debug_build() || is_free_threaded)
        return;
    CHECK(cpython::is_counted(how));
    ref one = new_object();
    CHECK(!cpython::decref_fast(how, one)); // the last
    CHECK(reference_count(one) == 1);
    CHECK(pyattach_incref(one) == PYATTACH_OK);
    CHECK(cpython::decref_fast(how, one));
    CHECK(reference_count(one) == 1);
    pyattach::object *none = cpython::python().none;
    const std::int64_t before = reference_count(none);
    CHECK(pyattach_incref(none) == PYATTACH_OK);
    CHECK(cpython::decref_fast(how, none));
    CHECK(reference_count(none) == before);
}

TEST_CASE("of two thread-locals that say the same neither is taken") {
    start_python();
    attached here;
    const cpython::table &real = cpython::python();
    cpython::table other = real;
    const bool is_exported = real.thread_local_at != nullptr;
    auto *save = reinterpret_cast<void *(*)()>(real.save);
    auto *restore = reinterpret_cast<void (*)(void *)>(real.restore);
    other.save = reinterpret_cast<decltype(other.save)>(equal_words_save);
    other.restore = reinterpret_cast<decltype(other.restore)>(equal_words_restore);
    for (int words : {0, 1, 2, 1}) {
        CAPTURE(words);
        equal_words_use(words, real.current(), save, restore);
        size_t index[2] = {0, 0};
        cpython::published = &other;
        const bool is_found = cpython::find_current(index);
        cpython::published = &real;
        CHECK(is_found == (words == 1 && is_exported));
        equal_words_use(2, nullptr, save, restore);
    }
    CHECK(cpython_says_attached());
}

// Where the linker has noted this thread's thread-locals of the library that holds `function`; NULL: nowhere.
static void *noted_words(const void *function) {
    struct search {
        uintptr_t wanted;
        void *noted;
    } search = {reinterpret_cast<uintptr_t>(function), nullptr};
    auto look = [](dl_phdr_info *object, size_t, void *arg) {
        auto &what = *static_cast<struct search *>(arg);
        for (unsigned i = 0; i < object->dlpi_phnum; ++i) {
            const auto &part = object->dlpi_phdr[i];
            if (part.p_type == PT_LOAD && what.wanted - (object->dlpi_addr + part.p_vaddr) < part.p_memsz)
                what.noted = object->dlpi_tls_data;
        }
        return 0;
    };
    dl_iterate_phdr(look, &search);
    return search.noted;
}

// As on arm64, where all code reaches its thread-locals through TLS descriptors: then the linker notes nothing.
TEST_CASE("the thread-local is found where the linker has not noted where this thread's are") {
    start_python();
    attached here;
    // Opened while this thread lives, which has no word of it yet.
    void *library = dlopen(TESTS_DESCRIBED_WORDS, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library);
    auto *use = reinterpret_cast<decltype(&equal_words_use)>(dlsym(library, "equal_words_use"));
    const cpython::table &real = cpython::python();
    cpython::table other = real;
    auto *save = reinterpret_cast<void *(*)()>(real.save);
    auto *restore = reinterpret_cast<void (*)(void *)>(real.restore);
    other.save = reinterpret_cast<decltype(other.save)>(dlsym(library, "equal_words_save"));
    other.restore = reinterpret_cast<decltype(other.restore)>(dlsym(library, "equal_words_restore"));
    use(1, real.current(), save, restore);
    if (TESTS_HAS_TLS_DESCRIPTORS)
        CHECK(noted_words(reinterpret_cast<const void *>(other.save)) == nullptr);
    size_t index[2] = {0, 0};
    cpython::published = &other;
    const bool is_found = cpython::find_current(index);
    cpython::published = &real;
    CHECK(is_found == (real.thread_local_at != nullptr));
    CHECK(cpython_says_attached());
}

TEST_CASE("a Python whose places are not known is asked by calls") {
    start_python();
    run_on_thread(come_and_go); // as a rule
    const auto exception = cpython::trusted.exception_at.load();
    const auto counting = cpython::trusted.counting.load();
    cpython::trusted.exception_at = 0;
    cpython::trusted.counting = cpython::counting::by_call;
    CHECK(cpython::current_at() == &cpython::unknown);
    run_on_thread(come_and_go);
    cpython::trusted.counting = counting;
    cpython::trusted.exception_at = exception;
    run_on_thread(come_and_go);
}

CHILD("a thread that asked too early") {
    load_python();
    latch is_asked("a thread to ask too early"), is_started("the start");
    task early("the thread that asked too early", [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
        is_asked.count_down();
        is_started.wait();
        for (int i = 0; i < 3; ++i)
            attached here;
        const pyattach::thread &me = *pyattach::this_thread.record();
        EXPECT((me.current_at != &cpython::unknown) == is_known_version());
    });
    is_asked.wait();
    start_python();
    run_on_thread([] { attached here; });
    is_started.count_down();
    early.join();
    EXPECT(!stop_python());
}
TEST_CASE("a thread that asked before Python was there goes the short way later") {
    check_succeeds("a thread that asked too early");
}
