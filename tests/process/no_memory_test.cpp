// Without memory every call that needs some returns NO_MEMORY and changes nothing. The executable interposes malloc.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cerrno>
#include <utility>

#include "unrecycled_threads.hpp"

using namespace support;

namespace {

// Allocations of this thread that still succeed; negative: all. Never dynamically initialized: malloc may be called
// before main().
thread_local int left = -1;

bool is_refused() {
    if (left < 0)
        return false;
    if (left > 0) {
        --left;
        return false;
    }
    errno = ENOMEM;
    return true;
}

} // namespace

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

// What the library finds under this name, since a program's own symbols come first. 3.11 crashes when the allocation in
// it fails, so it counts as one allocation of its own.
__attribute__((visibility("default"))) void *PyThreadState_New(void *interpreter) {
    if (is_refused())
        return nullptr;
    int kept = std::exchange(left, -1);
    void *state = cpython<void *(void *)>("PyThreadState_New")(interpreter);
    left = kept;
    return state;
}

void *malloc(size_t size) { return is_refused() ? nullptr : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return is_refused() ? nullptr : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return is_refused() ? nullptr : __libc_realloc(old, size); }
}

namespace {

void start_python_in_scope() {
    cpython_symbol("Py_GetVersion"); // loads it RTLD_GLOBAL, so that the library looks in the global scope
    start_python();
}

// Runs `call` on fresh threads (prepared by `prepare`), with more and more memory, until it succeeds. Returns how often
// it was refused.
template <class Prepare, class Call> int refusals(Prepare prepare, Call call) {
    unrecycled_threads others;
    for (int allocations = 0; allocations < 100; ++allocations) {
        pyattach_status status = PYATTACH_OK;
        others.run([&] {
            auto prepared = prepare();
            (void)prepared;
            // libpython's own thread-local data: glibc ends the process if it cannot allocate that.
            current_tstate();
            left = allocations;
            status = call();
            left = -1;
        });
        if (status == PYATTACH_OK)
            return allocations;
        EXPECT_SENTENCE(status == PYATTACH_NO_MEMORY, pyattach_status_message(status));
    }
    return 100;
}

struct nothing {};

} // namespace

TEST_CASE("attaching without memory is refused, leaves the thread as it was, and works later") {
    start_python_in_scope();
    int refused = refusals([] { return nothing{}; },
                           [] {
                               pyattach_attached scope;
                               pyattach_status status = pyattach_attached_begin(&scope);
                               int allowed = std::exchange(left, -1);
                               if (status == PYATTACH_OK) {
                                   pyattach_attached_end(&scope);
                                   return status;
                               }
                               EXPECT(!cpython_says_attached());
                               EXPECT(pyattach_attach_depth() == 0);
                               EXPECT(gilstate_tstate() == nullptr);
                               {
                                   attached here; // the same thread, with memory
                                   EXPECT(eval_int("1") == 1);
                               }
                               left = allowed;
                               return status;
                           });
    CHECK(refused >= 2); // at least what the library knows of the thread, and the thread state
    CHECK(refused < 100);
}

TEST_CASE("on a thread that other code attached, the first scope of any kind may be refused for lack of memory") {
    start_python_in_scope();
    auto attach = [] { return std::make_unique<foreign_attach>(); };
    int nested = refusals(attach, [] {
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_begin(&scope);
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
        EXPECT(cpython_says_attached());
        return status;
    });
    CHECK(nested >= 1);
    CHECK(nested < 100);
    int assumed = refusals(attach, [] {
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_assume(&scope);
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
        return status;
    });
    CHECK(assumed >= 1);
    CHECK(assumed < 100);
    int gaps = refusals(attach, [] {
        pyattach_detached gap;
        pyattach_status status = pyattach_detached_begin(&gap);
        if (status == PYATTACH_OK)
            status = pyattach_detached_end(&gap);
        EXPECT(cpython_says_attached());
        return status;
    });
    CHECK(gaps >= 1);
    CHECK(gaps < 100);
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    int sections = refusals(attach, [&] {
        pyattach_critical_section section;
        pyattach_status status = pyattach_critical_section_begin_mutex(&section, &mutex);
        if (status == PYATTACH_OK)
            pyattach_critical_section_end(&section);
        EXPECT(!pyattach_mutex_is_locked(&mutex));
        return status;
    });
    CHECK(sections >= 1);
    CHECK(sections < 100);
}

TEST_CASE("an exit callback is refused without memory") {
    start_python_in_scope();
    auto nothing_to_do = [](pyattach_interpreter *, void *) {};
    pyattach_interpreter *main = pyattach_interpreter_main();
    left = 0;
    pyattach_status status = pyattach_exit_callback_add(main, nothing_to_do, nullptr);
    left = -1;
    CHECK(status == PYATTACH_NO_MEMORY);
    CHECK(pyattach_exit_callback_remove(main, nothing_to_do, nullptr) == PYATTACH_INVALID);
}

TEST_CASE("a decref without memory leaks the reference, counts it, and never releases it twice") {
    start_python_in_scope();
    attached here;
    ref object = new_object();
    REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    {
        foreign_detach gap;
        left = 0;
        pyattach_decref(object);
        left = -1;
    }
    // With no memory even for a node it may be kept some other way, or leaked; never released twice.
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    std::int64_t count = reference_count(object);
    CHECK((count == 1 || count == 2));
    CHECK(pyattach_pool_size() == 0);
}

TEST_CASE("locks need no memory") {
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_once once = PYATTACH_ONCE_INIT;
    pyattach_forbidden traverse;
    left = 0;
    pyattach_mutex_lock(&mutex);
    pyattach_mutex_unlock(&mutex);
    pyattach_status status = pyattach_once_run(
        &once, [](void *) { return PYATTACH_OK; }, nullptr);
    pyattach_forbidden_begin(&traverse);
    int is_forbidden = pyattach_is_forbidden();
    pyattach_forbidden_end(&traverse);
    left = -1;
    CHECK(status == PYATTACH_OK);
    CHECK(is_forbidden == 1);
}
