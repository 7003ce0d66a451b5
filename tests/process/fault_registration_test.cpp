// Registration of an interpreter, with each call of CPython and libc that it makes failing in turn.
#include "fault_fork.hpp"
#include "support/host.hpp"

using namespace support;
using faults::check_sweep;
using faults::for_each_failure;
using faults::how_long;
using faults::lasting;
using faults::names_of;

namespace {

int called;
void count_call(pyattach_interpreter *, void *) { ++called; }

void expect_refusal(pyattach_status status, const char *failed) {
    // PEP 788 reports an interpreter that ends and lack of memory alike.
    bool may_seem_to_end = failed && std::strcmp(failed, "guard_from_view") == 0;
    EXPECT_SENTENCE(status == PYATTACH_OK || status == PYATTACH_NO_MEMORY ||
                        (may_seem_to_end && status == PYATTACH_FINALIZING),
                    pyattach_status_message(status));
}

// Python was started by a host, which is attached; `contact` is the first one of the process, and is made again. Where
// it is to be the second, the first one failed half way.
void first_contact(const std::function<pyattach_status()> &contact, const char *failed_before = nullptr) {
    start_as_host();
    if (cpython<object *(object *, const char *)>("PyDict_GetItemString")(
            cpython<object *()>("PyImport_GetModuleDict")(), "threading"))
        std::puts("threading is loaded");
    for_each_failure(how_long(), [&](int before, lasting lasts) {
        const faults::snapshot first = faults::current_snapshot();
        faults::always(failed_before);
        if (failed_before)
            EXPECT(contact() == PYATTACH_OK && faults::times_failed() > 0);
        faults::always(nullptr);
        faults::arm(before, faults::what_fails(lasts), lasts);
        pyattach_status status = contact();
        const char *failed = faults::disarm();
        expect_refusal(status, failed);
        faults::expect_same(first, faults::current_snapshot(), "first contact");
        EXPECT(contact() == PYATTACH_OK);
        faults::expect_same(first, faults::current_snapshot(), "second contact");
        // The exit hook is registered exactly once, whatever the first registration completed.
        EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), count_call, nullptr) == PYATTACH_OK);
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
        EXPECT(called == 1);
        return failed;
    });
}

} // namespace

CHILD("failing first contact, nested") { first_contact(try_to_attach); }
CHILD("failing first contact of a native thread") {
    first_contact([] {
        foreign_detach gap;
        return run_on_thread(try_to_attach);
    });
}
CHILD("failing first contact by a detached scope") {
    first_contact([] {
        pyattach_detached gap;
        pyattach_status status = pyattach_detached_begin(&gap);
        return status == PYATTACH_OK ? pyattach_detached_end(&gap) : status;
    });
}
CHILD("failing second contact") { first_contact(try_to_attach, "function_new"); }
TEST_CASE("a second registration, after the first one got half way, while any dependency fails") {
    names_of("failing second contact");
}

TEST_CASE(
    "a registration in which any dependency fails is refused or leaves out the exit hook, and the next one adds it") {
    check_sweep("failing first contact, nested",
                {"calloc", "malloc", "membarrier", "pthread_atfork", "interpreter_dict", "capsule_new", "dict_set",
                 "import_module", "get_attribute", "function_new", "tuple_new", "tuple_set", "call_object",
                 "dict_new"});
    const std::set<std::string> names =
        check_sweep("failing first contact of a native thread",
                    {"calloc", "malloc", "pthread_atfork", "tstate_new", "capsule_new", "import_module"});
    // Up to 3.12 the library imports `threading` on a thread of its own.
    load_python();
    bool needs_helper = python_version() < 0x030d0000 && names.count("threading is loaded") == 0;
    CHECK(needs_helper == (names.count("pthread_create") == 1));
    names_of("failing first contact of a native thread", "from then on");
    names_of("failing first contact, nested", "from then on");
    names_of("failing first contact by a detached scope");
}

// A host's pending exception must survive registration. Here a nested attach causes the registration.
CHILD("first contact while an exception is pending, no dict to be had") {
    load_python();
    cpython<void(int)>("Py_InitializeEx")(0);
    EXPECT(pyattach_is_attached());
    object *const its_type = *static_cast<object **>(cpython_symbol("PyExc_RuntimeError"));
    cpython<void(object *)>("PyErr_SetNone")(its_type);
    faults::always("dict_new");
    EXPECT(try_to_attach() == PYATTACH_OK);
    const int failed = faults::times_failed();
    faults::always(nullptr);
    EXPECT(failed > 0);
    EXPECT(cpython<object *()>("PyErr_Occurred")() == its_type);
}
TEST_CASE("registration keeps a pending exception, also without memory") {
    child_result result = run_child("first contact while an exception is pending, no dict to be had");
    INFO(result.describe());
    CHECK(result.exit_code == 0);
}

// Without pthread_atfork a child of a raw fork would not be refused.
CHILD("first contact that cannot be told of forks") {
    load_python();
    cpython<void(int)>("Py_InitializeEx")(0);
    foreign_detach gap;
    faults::always("pthread_atfork");
    const pyattach_status refused = run_on_thread(try_to_attach);
    faults::always(nullptr);
    EXPECT_SENTENCE(refused == PYATTACH_NO_MEMORY, std::to_string(refused));
    EXPECT(run_on_thread(try_to_attach) == PYATTACH_OK);
}
TEST_CASE("a registration whose pthread_atfork fails is refused, and the next one is not") {
    child_result result = run_child("first contact that cannot be told of forks");
    INFO(result.describe());
    CHECK(result.exit_code == 0);
}
