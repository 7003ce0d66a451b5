// The library inside an unmodified python3, called through ctypes: attached (PyDLL) and detached (CDLL).
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "tests_config.hpp"

using namespace support;

namespace {

// Runs `script` in a new python3 with `attached` and `detached`, two ways to call the same library.
child_result python(const std::string &script, std::vector<std::string> options = {}) {
    std::vector<std::string> command = {python_executable()};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"-c", "import ctypes\n"
                                         "attached = ctypes.PyDLL('" TESTS_LIBRARY "')\n"
                                         "detached = ctypes.CDLL('" TESTS_LIBRARY "')\n"
                                         "attached_native = ctypes.PyDLL('" TESTS_ATTACH_LOOP "')\n"
                                         "detached_native = ctypes.CDLL('" TESTS_ATTACH_LOOP "')\n"
                                         "OK, NOT_ATTACHED = 0, 4\n"
                                         "scope = ctypes.create_string_buffer(64)\n" +
                                             script});
    return run_program(command);
}

void check(const std::string &script, std::vector<std::string> options = {}) {
    child_result result = python(script, std::move(options));
    INFO(script);
    check_succeeds(result);
    CHECK(result.output == "");
}

} // namespace

TEST_CASE("in an unmodified python3 every call finds Python, whichever comes first") {
    check("assert attached.pyattach_is_attached() == 1");
    check("assert detached.pyattach_is_attached() == 0");
    check("assert attached.pyattach_attached_begin(scope) == OK; attached.pyattach_attached_end(scope)");
    check("assert attached_native.attach_once() == OK");
    check("assert detached_native.attach_once() == OK");
    check("assert attached_native.detach_once() == OK");
    check("assert detached_native.detach_once() == NOT_ATTACHED");
    check("assert attached.pyattach_attached_assume(scope) == OK; attached.pyattach_attached_end(scope)");
    check(
        "assert attached.pyattach_run(b'import sys; sys.ran = 1', None, None) == OK; import sys; assert sys.ran == 1");
    check("attached.pyattach_interpreter_current.restype = ctypes.c_void_p\n"
          "assert attached.pyattach_interpreter_current()");
    check("detached.pyattach_interpreter_main.restype = ctypes.c_void_p\n"
          "assert detached.pyattach_interpreter_main()");
    check("assert detached.pyattach_interpreter_start() == OK");
    check("assert attached.pyattach_pool_drain() == OK");
    // Taken and given back at once: an object that the count would show.
    check("import sys; thing = object(); before = sys.getrefcount(thing)\n"
          "assert attached.pyattach_incref(ctypes.py_object(thing)) == OK\n"
          "assert sys.getrefcount(thing) == before + 1");
    check("import sys; thing = object(); ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))\n"
          "before = sys.getrefcount(thing); attached.pyattach_decref(ctypes.py_object(thing))\n"
          "assert sys.getrefcount(thing) == before - 1");
    check("section = ctypes.create_string_buffer(64); thing = object()\n"
          "assert attached.pyattach_critical_section_begin(section, ctypes.py_object(thing)) == OK\n"
          "attached.pyattach_critical_section_end(section)");
}

TEST_CASE("a python3 that never imports site can be attached to") {
    check("assert detached_native.attach_once() == OK", {"-I", "-S"});
}

TEST_CASE("python3 describes itself: the program, or the libpython it links") {
    child_result result = python("class Python(ctypes.Structure):\n"
                                 "    _fields_ = [('size', ctypes.c_size_t), ('version', ctypes.c_uint),\n"
                                 "                ('free_threaded', ctypes.c_int), ('debug', ctypes.c_int),\n"
                                 "                ('path', ctypes.c_char_p)]\n"
                                 "it = Python(size=ctypes.sizeof(Python))\n"
                                 "assert attached.pyattach_python_describe(ctypes.byref(it)) == OK\n"
                                 "import os, sys\n"
                                 "assert it.version == sys.hexversion\n"
                                 "path = it.path.decode()\n"
                                 "assert os.path.samefile(path, sys.executable) or 'libpython' in path, path\n"
                                 "assert it.debug == hasattr(sys, 'gettotalrefcount')");
    check_succeeds(result);
}

TEST_CASE("python3 exits with 0 after native code attached and detached in it, with -X dev too") {
    const char *use =
        "import threading\n"
        "def use():\n"
        "    for _ in range(100): assert detached_native.attach_once() == OK == attached_native.detach_once()\n"
        "threads = [threading.Thread(target=use) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]";
    check(use);
    check(use, {"-X", "dev"});
}

// PyO3 test_hammer_attaching_in_thread, in a process that ends as processes do
TEST_CASE("python3 exits with 0 while native threads attach all the time") {
    for (int round = 0; round < 5; ++round)
        check("detached_native.start_attach_loops(4)\n"
              "deep = None\n"
              "for _ in range(100000): deep = [deep]\n");
}

TEST_CASE("the exit status that a program chose is kept while native threads attach") {
    child_result result = python("import sys; detached_native.start_attach_loops(2); sys.exit(42)");
    INFO(result.describe());
    CHECK(result.exit_code == 42);
    CHECK(result.output == "");
}
