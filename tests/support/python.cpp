// A Python to test with.
#include "support/python.hpp"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>

#include "tests_config.hpp"

namespace support {
namespace {

std::string from_environment(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value && *value ? value : otherwise;
}

pyattach_python described() {
    pyattach_python python{};
    python.struct_size = sizeof python;
    EXPECT(pyattach_python_describe(&python) == PYATTACH_OK);
    return python;
}

bool started;

} // namespace

const std::string &python_executable() {
    static const std::string path = from_environment("PYATTACH_TEST_PYTHON", TESTS_PYTHON);
    return path;
}

const std::string &libpython() {
    static const std::string path = from_environment("PYATTACH_TEST_LIBPYTHON", TESTS_LIBPYTHON);
    return path;
}

pyattach_start_options start_options() {
    pyattach_start_options options{};
    options.struct_size = sizeof options;
    options.program_name = python_executable().c_str();
    return options;
}

void load_python() {
    messages said;
    pyattach_status status = pyattach_python_load(libpython().c_str());
    EXPECT_SENTENCE(status == PYATTACH_OK,
                    "cannot load " + libpython() + ": " + pyattach_status_message(status) + ": " + said.text());
}

void start_python() {
    if (started)
        return;
    load_python();
    messages said;
    pyattach_start_options options = start_options();
    pyattach_status status = pyattach_interpreter_start_with(&options);
    EXPECT_SENTENCE(status == PYATTACH_OK,
                    std::string("cannot start Python: ") + pyattach_status_message(status) + ": " + said.text());
    started = true;
}

const char *stop_python() noexcept {
    if (!std::exchange(started, false))
        return nullptr;
    pyattach_status status = pyattach_interpreter_stop();
    return status == PYATTACH_OK ? nullptr : pyattach_status_message(status);
}

unsigned python_version() { return described().version_hex; }
bool is_free_threaded() { return described().free_threaded != 0; }
bool is_debug_build() { return described().debug != 0; }

namespace {
std::mutex told_lock;
std::string told;
int listeners;
} // namespace

messages::messages() {
    std::lock_guard<std::mutex> hold(told_lock);
    if (listeners++ != 0)
        return;
    told.clear();
    pyattach_set_message_handler(
        [](const char *message, void *) {
            std::lock_guard<std::mutex> hold_too(told_lock);
            told.append(message).append("\n");
        },
        nullptr);
}
messages::~messages() {
    std::lock_guard<std::mutex> hold(told_lock);
    if (--listeners == 0)
        pyattach_set_message_handler(nullptr, nullptr);
}
std::string messages::text() const {
    std::lock_guard<std::mutex> hold(told_lock);
    return told;
}

void *cpython_symbol(const char *name, bool required) {
    static void *const handle = dlopen(libpython().c_str(), RTLD_NOW | RTLD_GLOBAL);
    EXPECT_SENTENCE(handle, std::string("cannot open libpython: ") + dlerror());
    void *address = dlsym(handle, name);
    EXPECT_SENTENCE(address || !required, std::string("this libpython has no ") + name);
    return address;
}

void *gilstate_tstate() { return cpython<void *()>("PyGILState_GetThisThreadState")(); }

void *current_tstate() {
    static void *const newer = cpython_symbol("PyThreadState_GetUnchecked", false);
    static void *const ask = newer ? newer : cpython_symbol("_PyThreadState_UncheckedGet");
    return reinterpret_cast<void *(*)()>(ask)();
}

bool cpython_says_attached() {
    void *current = current_tstate();
    // Up to 3.11 it is the tstate of the thread that holds the GIL.
    return current && (python_version() >= 0x030c0000 || current == gilstate_tstate());
}

void throw_python_error(const std::string &doing) {
    char text[1000] = "";
    pyattach_error_message(text, sizeof text);
    pyattach_error_clear();
    throw failure(doing + ": " + text);
}

void run(const std::string &statements) {
    pyattach_status status = pyattach_run(statements.c_str(), nullptr, nullptr);
    if (status == PYATTACH_PYTHON_ERROR)
        throw_python_error(statements);
    EXPECT_SENTENCE(status == PYATTACH_OK, statements + ": " + pyattach_status_message(status));
}

ref eval(const std::string &expression) {
    object *result = nullptr;
    pyattach_status status = pyattach_eval(expression.c_str(), nullptr, nullptr, &result);
    if (status == PYATTACH_PYTHON_ERROR)
        throw_python_error(expression);
    EXPECT_SENTENCE(status == PYATTACH_OK, expression + ": " + pyattach_status_message(status));
    return ref(result);
}

std::int64_t to_int(object *number) {
    std::int64_t value = 0;
    if (pyattach_to_int64(number, &value) != PYATTACH_OK)
        throw_python_error("to_int64");
    return value;
}

std::int64_t eval_int(const std::string &expression) { return to_int(eval(expression)); }

bool eval_true(const std::string &expression) { return eval_int("bool(" + expression + ")") == 1; }

std::string eval_text(const std::string &expression) {
    ref text = eval("str(" + expression + ")");
    const char *data = nullptr;
    size_t size = 0;
    if (pyattach_to_utf8(text, &data, &size) != PYATTACH_OK)
        throw_python_error("to_utf8");
    return std::string(data, size);
}

bool is_true_of(object *it, const std::string &condition) {
    publish("it", it);
    bool answer = eval_true(condition);
    run("del it");
    return answer;
}

void publish(const char *name, object *value) {
    object *main = nullptr;
    if (pyattach_import("__main__", &main) != PYATTACH_OK)
        throw_python_error("import __main__");
    ref module(main);
    if (pyattach_set_attribute(module, name, value) != PYATTACH_OK)
        throw_python_error("set_attribute");
}

namespace {
std::int64_t raw_count(object *counted) {
    ref function = eval("__import__('sys').getrefcount");
    object *result = nullptr;
    if (pyattach_call(function, &counted, 1, &result) != PYATTACH_OK)
        throw_python_error("sys.getrefcount");
    return to_int(ref(result));
}
} // namespace

std::int64_t reference_count(object *counted) {
    // What the way there adds differs between versions; a new object shows it.
    ref reference = new_object();
    return raw_count(counted) - raw_count(reference) + 1;
}

// Not evaluated: on free-threaded 3.13 each compilation leaves memory behind, and tests make objects without end.
ref new_object() {
    static auto *const call = cpython<object *(object *)>("PyObject_CallNoArgs");
    static auto *const type = static_cast<object *>(cpython_symbol("PyBaseObject_Type"));
    ref made(call(type));
    EXPECT(made.get());
    return made;
}

ref object_with_finalizer(const std::string &statements) {
    std::string body = statements;
    for (size_t at = 0; (at = body.find('\n', at)) != std::string::npos; at += 9)
        body.replace(at, 1, "\n        ");
    run("class Finalized:\n    def __del__(self):\n        " + body + "\n");
    return eval("Finalized()");
}

namespace {

// PyMethodDef: the only layout of CPython's that a native callable needs; it never changed.
struct method {
    const char *name;
    object *(*call)(object *self, object *arguments);
    int flags; // 4: METH_NOARGS
    const char *documentation;
};

object *call_native(object *self, object *) {
    auto *function = static_cast<std::function<void()> *>(
        cpython<void *(object *, const char *)>("PyCapsule_GetPointer")(self, "native"));
    try {
        (*function)();
    } catch (const std::exception &error) {
        auto **kind = static_cast<object **>(cpython_symbol("PyExc_RuntimeError"));
        cpython<void(object *, const char *)>("PyErr_SetString")(*kind, error.what());
        return nullptr;
    }
    auto *none = static_cast<object *>(cpython_symbol("_Py_NoneStruct"));
    cpython<void(object *)>("Py_IncRef")(none);
    return none;
}

void forget_native(object *self) {
    delete static_cast<std::function<void()> *>(
        cpython<void *(object *, const char *)>("PyCapsule_GetPointer")(self, "native"));
}

method native_definition = {"native", call_native, 4, nullptr};

} // namespace

ref native_function(std::function<void()> function) {
    ref self(cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New")(
        new std::function<void()>(std::move(function)), "native", forget_native));
    EXPECT(self.get());
    ref callable(
        cpython<object *(method *, object *, object *)>("PyCFunction_NewEx")(&native_definition, self, nullptr));
    EXPECT(callable.get());
    return callable;
}

} // namespace support
