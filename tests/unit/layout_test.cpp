// The words of CPython that contain the current tstate and the pending exception, read without a call.
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

cpython::thread_state *own_tstate() { return cpython::python().current(); }

// Attaches several times, so from the second time on with the warm tstate.
void attach_repeatedly() {
    for (int i = 0; i < 3; ++i) {
        attached scope, nested;
        ref object = new_object(), other = new_object();
        CHECK(cpython_says_attached());
        {
            detached detached_frame;
            CHECK(!cpython_says_attached());
            object.drop();
        }
        CHECK(cpython_says_attached());
        other.drop();
    }
    CHECK(!cpython_says_attached());
}

} // namespace

TEST_CASE("the words are found on every known version, and contain what CPython returns") {
    start_python();
    run_on_thread([] {
        attached scope;
        REQUIRE(cpython::is_layout_trusted() == is_known_version());
        if (!is_known_version())
            return;
        cpython::thread_state *tstate = own_tstate();
        cpython::thread_state *const *at = cpython::current_at();
        REQUIRE(at != &cpython::unknown);
        CHECK(pyattach::this_thread.record()->current_at == at);
        CHECK(*at == tstate);
        {
            foreign_detach detached_frame;
            CHECK(*at != tstate);
        }
        CHECK(*at == tstate);
        CHECK(cpython::is_suspended(tstate, true) == !cpython::python().free_threaded); // there it is known
        CHECK(cpython::interp_in(tstate) == cpython::python().interp_of(tstate));
        CHECK((!cpython::python().end_frees_tstates || cpython::id_in(tstate) == cpython::python().tstate_id(tstate)));
        CHECK(!cpython::has_exception(tstate));
        pyattach::object *none = nullptr;
        CHECK(pyattach_eval("1 / 0", nullptr, nullptr, &none) == PYATTACH_PYTHON_ERROR);
        CHECK(cpython::has_exception(tstate));
        CHECK(take_error() == "ZeroDivisionError: division by zero");
        CHECK(!cpython::has_exception(tstate));
        {
            detached detached_frame;
            run_on_thread([at] {
                attached again;
                CHECK(*cpython::current_at() == own_tstate());
                // From 3.12 each thread has a word of its own.
                CHECK((cpython::current_at() == at) == !cpython::python().current_is_own);
            });
        }
    });
}

TEST_CASE("words that differ from what CPython returns are not trusted") {
    start_python();
    attached scope;
    for (unsigned wrong : {0, 8, 16, 200}) // links, the interpreter, something else
        CHECK(!cpython::is_exception_at(wrong));
    CHECK(!cpython::is_id_at(16));
    cpython::thread_state *const tstate = own_tstate(), *const none = nullptr;
    CHECK(!cpython::is_current_at(&tstate)); // also while the thread is detached
    CHECK(!cpython::is_current_at(&none));
    for (unsigned wrong : {0, 8, 32, 200}) // links, bits that say that it is attached among others, something else
        CHECK(!cpython::is_state_at(wrong));
    CHECK(cpython_says_attached());
    CHECK(take_error() == "no exception");
}

TEST_CASE("an interpreter that differs from what CPython returns is not trusted") {
    start_python();
    attached scope;
    const cpython::table &real = cpython::python();
    cpython::table other = real;
    other.interp_of = [](cpython::thread_state *) noexcept -> cpython::interp_state * { return nullptr; };
    CHECK(cpython::is_interp_in_place());
    cpython::published = &other;
    const bool is_trusted = cpython::is_interp_in_place();
    cpython::published = &real;
    CHECK(!is_trusted);
}

TEST_CASE("after a switch to another tstate the word contains that one") {
    start_python();
    attached scope;
    if (!cpython::is_layout_trusted())
        return;
    cpython::thread_state *const tstate = own_tstate();
    cpython::thread_state *const *at = cpython::current_at();
    sub_interpreter other;
    other.inside([=] {
        CHECK(*at != tstate);
        CHECK(*at == own_tstate());
    });
    CHECK(*at == tstate);
}

TEST_CASE("the thread-local is found where there is one") {
    start_python();
    attached scope;
    size_t index[2] = {0, 0};
    CHECK(cpython::find_current(index) == (python_version() >= 0x030c0000));
    if (index[0] != 0 && cpython::is_layout_trusted()) {
        CHECK(cpython::trusted.module == index[0]);
        CHECK(cpython::trusted.offset == index[1]);
    }
    CHECK(cpython_says_attached());
}

TEST_CASE("the reference count is the first word of an object") {
    start_python();
    attached scope;
    using cpython::counting;
    const counting how = python_version() < 0x030c0000 ? counting::in_64_bits : counting::in_32_bits;
    const bool is_free_threaded = cpython::python().free_threaded;
    CHECK(cpython::trusted.counting == (is_known_version() && !is_free_threaded ? how : counting::by_call));
    CHECK(!cpython::is_counted(counting::by_call));
    if (is_debug_build() || is_free_threaded)
        return;
    CHECK(cpython::is_counted(how));
    ref object = new_object();
    CHECK(!cpython::decref_fast(how, object)); // the last reference
    CHECK(reference_count(object) == 1);
    CHECK(pyattach_incref(object) == PYATTACH_OK);
    CHECK(cpython::decref_fast(how, object));
    CHECK(reference_count(object) == 1);
    pyattach::object *none = cpython::python().none;
    const std::int64_t before = reference_count(none);
    CHECK(pyattach_incref(none) == PYATTACH_OK);
    CHECK(cpython::decref_fast(how, none));
    CHECK(reference_count(none) == before);
}

TEST_CASE("if two thread-locals contain the current tstate, neither is used") {
    start_python();
    attached scope;
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

// The address that the dynamic linker has stored for the calling thread's thread-locals of the library that contains
// `function`; NULL: none.
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

// On arm64 all code reaches its thread-locals through TLS descriptors. Then the dynamic linker stores no address.
TEST_CASE("the thread-local is found where the dynamic linker has stored no address of the thread's block") {
    start_python();
    attached scope;
    // The library is opened while this thread exists, so the thread has none of its thread-locals yet.
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

TEST_CASE("where the words are not known, CPython is called instead") {
    start_python();
    run_on_thread(attach_repeatedly); // with the words
    const auto exception = cpython::trusted.exception_at.load();
    const auto counting = cpython::trusted.counting.load();
    cpython::trusted.exception_at = 0;
    cpython::trusted.counting = cpython::counting::by_call;
    CHECK(cpython::current_at() == &cpython::unknown);
    run_on_thread(attach_repeatedly);
    cpython::trusted.counting = counting;
    cpython::trusted.exception_at = exception;
    run_on_thread(attach_repeatedly);
}

CHILD("a thread that attached too early") {
    load_python();
    latch has_tried("a thread to attach too early"), is_started("the start");
    task early("the thread that attached too early", [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
        has_tried.count_down();
        is_started.wait();
        for (int i = 0; i < 3; ++i)
            attached scope;
        const pyattach::thread &me = *pyattach::this_thread.record();
        EXPECT((me.current_at != &cpython::unknown) == is_known_version());
    });
    has_tried.wait();
    start_python();
    run_on_thread([] { attached scope; });
    is_started.count_down();
    early.join();
    EXPECT(!stop_python());
}
TEST_CASE("a thread that tried to attach before Python was started takes the fast path later") {
    check_succeeds("a thread that attached too early");
}
