"""Modules that use CPython's API (relinked/), unchanged, routed by one added line of their build system, or by flags.

usage: relinked_test.py [unittest's words]
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, command, compile_cython, python_headers, run
from installed import Tree

RELINKED = SOURCE / "tests/abi/consumers/relinked"
# A native thread that has a thread state of its own in each call has a threading.local of its own in each.
IS_WARM = """
import threading, counted
local, seen = threading.local(), []
def function():
    local.calls = getattr(local, "calls", 0) + 1
    seen.append(local.calls)
assert counted.call(function, 5) == 0
assert counted.call(function, 5) == 0
print(seen)
"""
COLD, WARM = f"{[1] * 10}\n", f"{[1, 2, 3, 4, 5] * 2}\n"
# A thread that attaches for ever, while Python ends.
ENDS = """
import threading, counted
calls = threading.Semaphore(0)
for _ in range(4):
    assert counted.leave_behind(calls.release) == 0
for _ in range(100):
    calls.acquire()
"""
EXITS = 5

# Two modules, of which one ensures what the other releases.
HALVES = """
#include <Python.h>
#include <pthread.h>
__attribute__((visibility("default"))) int half_ensure(void) { return PyGILState_Ensure(); }
static PyObject *function;
static void *work(void *ensure) {
    int state = ((int (*)(void))ensure)();
    Py_XDECREF(PyObject_CallObject(function, NULL));
    PyGILState_Release(state);
    return NULL;
}
static PyObject *run(PyObject *module, PyObject *arguments) {
    unsigned long long ensure;
    pthread_t thread;
    if (!PyArg_ParseTuple(arguments, "KO", &ensure, &function))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    pthread_create(&thread, NULL, work, (void *)ensure);
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"run", run, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "NAME", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_NAME(void) {
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
"""


def is_debug():
    return run(PYTHON, "-c", "import sys; print(hasattr(sys, 'gettotalrefcount'))").stdout == "True\n"


def pybind11_refusal():
    """Why no module can be built with pybind11; None: one can."""
    header = Path("/usr/include/pybind11/detail/common.h")
    if not header.exists():
        return "pybind11 is not here (on Debian: apt install pybind11-dev)"
    version = tuple(map(int, run(PYTHON, "-c", "import sys; print(*sys.version_info[:2])").stdout.split()))
    is_free_threaded = "t-" in python_headers()[1] or "t." in python_headers()[1]
    if "PYBIND11_VERSION_MAJOR 2" in header.read_text() and (version > (3, 11) or is_free_threaded):
        return "this pybind11 is older than this Python"
    return None


class Relinked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if python_headers() is None:
            raise unittest.SkipTest(f"{PYTHON} HAS NO Python.h")
        cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cleanup.close)
        cls.folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-relinked-")))
        cls.tree = Tree(cls.folder)
        cls.environment = {**cls.tree.environment(), "LD_LIBRARY_PATH": str(cls.tree.libraries)}

    def new_folder(self):
        return Path(tempfile.mkdtemp(dir=self.folder))

    def python(self, folder, script):
        return run(PYTHON, "-c", script, env={**self.environment, "PYTHONPATH": str(folder)})

    def check(self, folder, is_routed=True):
        expected = WARM if is_routed and not is_debug() else COLD
        self.assertEqual((expected, ""), (lambda it: (it.stdout, it.stderr))(self.python(folder, IS_WARM)))
        if is_routed:
            for _ in range(EXITS):
                self.python(folder, ENDS)

    def ask(self, *words):
        return run(*command("PKG_CONFIG", "pkg-config"), *words, env=self.environment).stdout.split()


class BuildSystems(Relinked):
    def source(self, kind):
        if kind == "c":
            return RELINKED / "counted.c"
        if kind == "pybind11":
            refusal = pybind11_refusal()
            if refusal:
                self.skipTest(refusal)
            return RELINKED / "counted_pybind11.cpp"
        written = self.new_folder() / "counted.c"
        compile_cython(RELINKED / "counted.pyx", self.tree.pxddir, written)
        return written

    def cmake(self, source):
        if shutil.which("cmake") is None:
            self.skipTest("THERE IS NO CMake HERE (on Debian: apt install cmake)")
        include, suffix = python_headers()
        folder = self.new_folder()
        run("cmake", "-GNinja", "-S", RELINKED, "-B", folder, f"-DSOURCE={source}", f"-DPYTHON_INCLUDE={include}",
            f"-DPYTHON_SUFFIX={suffix}", "-DROUTED=ON", env=self.environment)
        run("cmake", "--build", folder)
        return folder

    def meson(self, source, is_routed=True):
        include, suffix = python_headers()
        project, folder = self.new_folder(), self.new_folder()
        for name in ("meson.build", "meson_options.txt"):
            shutil.copy(RELINKED / name, project)
        shutil.copy(source, project)
        meson = command("MESON", "meson")
        run(*meson, "setup", folder, project, f"-Dsource={source.name}", f"-Drouted={str(is_routed).lower()}",
            f"-Dpython_include={include}", f"-Dpython_suffix={suffix[1:]}", env=self.environment)
        run(*meson, "compile", "-C", folder, env=self.environment)
        return folder

    def setuptools(self, source):
        if run(PYTHON, "-c", "import setuptools", expect=None).returncode:
            self.skipTest("this Python has no setuptools")
        folder = self.new_folder()
        shutil.copy(RELINKED / "setup.py", folder)
        shutil.copy(source, folder)
        run(PYTHON, "setup.py", "-q", "build_ext", "--inplace", cwd=folder,
            env={**self.environment, "SOURCE": source.name})
        return folder

    def test_without_the_line_each_call_makes_a_thread_state(self):
        for kind in ("c", "cython"):
            with self.subTest(kind=kind):
                self.check(self.meson(self.source(kind), is_routed=False), is_routed=False)

    def test_c(self):
        for system in (self.cmake, self.meson, self.setuptools):
            with self.subTest(system=system.__name__):
                self.check(system(self.source("c")))

    def test_pybind11(self):
        source = self.source("pybind11")
        for system in (self.cmake, self.meson, self.setuptools):
            with self.subTest(system=system.__name__):
                self.check(system(source))

    def test_cython(self):
        source = self.source("cython")
        for system in (self.cmake, self.meson, self.setuptools):
            with self.subTest(system=system.__name__):
                self.check(system(source))


class Linkers(Relinked):
    """counted.c, with the flags of pkg-config."""

    def link(self, *flags, package="pyattach-gilstate", compiler=None, libraries=None):
        include, suffix = python_headers()
        folder = self.new_folder()
        link = self.ask("--libs", package) if libraries is None else libraries
        run(*(compiler or command("CC", "cc")), "-std=gnu99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-isystem", include,
            f"-I{self.tree.prefix / 'include'}", *flags, RELINKED / "counted.c", "-o", folder / f"counted{suffix}", *link, "-pthread")
        return folder

    def test_each_linker_with_and_without_link_time_optimization(self):
        tried = 0
        for package in ("pyattach-gilstate", "pyattach-gilstate-static"):
            for compiler, linker, lto in (("gcc", "bfd", ""), ("gcc", "bfd", "-flto"), ("gcc", "gold", ""), ("gcc", "gold", "-flto"),
                                          ("gcc", "lld", ""), ("clang", "bfd", ""), ("clang", "gold", ""), ("clang", "lld", ""),
                                          ("clang", "lld", "-flto"), ("gcc", "mold", ""), ("gcc", "mold", "-flto")):
                tool = {"bfd": "ld.bfd", "gold": "ld.gold", "lld": "ld.lld", "mold": "mold"}[linker]
                if not shutil.which(compiler) or not shutil.which(tool):
                    continue
                with self.subTest(package=package, compiler=compiler, linker=linker, lto=lto):
                    flags = [f"-fuse-ld={linker}"] + [lto] * bool(lto)
                    self.check(self.link(*flags, package=package, compiler=[compiler]))
                    tried += 1
        self.assertGreaterEqual(tried, 2)

    def test_the_stubs_are_not_exported_and_need_no_other_library(self):
        folder = self.link()
        module = next(folder.glob("counted*"))
        self.assertNotIn("__wrap_", run("nm", "-D", "--defined-only", module).stdout)
        stubs = self.tree.libraries / "libpyattach-gilstate.a"
        wanted = [line.split()[-1] for line in run("nm", "--undefined-only", stubs).stdout.splitlines() if " U " in line]
        self.assertEqual([], [name for name in wanted if not name.startswith(("pyattach_gilstate_", "_GLOBAL_OFFSET_TABLE_"))])

    def test_without_the_linker_option_the_header_routes(self):
        libraries = [flag for flag in self.ask("--libs", "pyattach-gilstate") if "--wrap" not in flag]
        self.check(self.link("-include", "pyattach/route_gilstate.h", libraries=libraries))

    def test_the_header_after_python_h_is_an_error(self):
        text = "#include <Python.h>\n#include <pyattach/route_gilstate.h>\n"
        done = subprocess.run([*command("CC", "cc"), "-fsyntax-only", "-isystem", python_headers()[0],
                               f"-I{self.tree.prefix / 'include'}", "-xc", "-"], input=text, text=True, capture_output=True)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("comes before Python.h", done.stderr)

    def test_the_flags_the_stubs_and_the_header_name_the_same_functions(self):
        flags = {flag.split("=")[1] for flag in self.ask("--libs", "pyattach-gilstate") if "--wrap" in flag}
        header = (self.tree.prefix / "include/pyattach/route_gilstate.h").read_text()
        named = {line.split()[1]: line.split()[2] for line in header.splitlines() if line.startswith("#define ") and "__wrap" in line}
        shown = run("nm", "--defined-only", self.tree.libraries / "libpyattach-gilstate.a").stdout
        stubs = {word[len("__wrap_"):] for word in shown.split() if word.startswith("__wrap_")}
        self.assertEqual({name: f"__wrap_{name}" for name in flags}, named)
        self.assertEqual(flags, stubs)

    def test_the_interpreter_is_registered_soon_after_the_import(self):
        done = self.python(self.link(), """
import atexit
before = atexit._ncallbacks()
import counted
print(atexit._ncallbacks() - before)
""")
        self.assertEqual(("1\n", ""), (done.stdout, done.stderr))

    def test_two_routed_modules_share_one_stack(self):
        """An ensure in one module, its release in another, on a native thread."""
        folder = self.new_folder()
        include, suffix = python_headers()
        for name in ("one", "two"):
            source = folder / f"{name}.c"
            source.write_text(HALVES.replace("NAME", name))
            run(*command("CC", "cc"), "-std=gnu99", "-w", "-shared", "-fPIC", "-isystem", include, source, "-o",
                folder / f"{name}{suffix}", *self.ask("--libs", "pyattach-gilstate"), "-pthread")
        done = self.python(folder, """
import ctypes, one, two
ensure = ctypes.cast(ctypes.PyDLL(one.__file__).half_ensure, ctypes.c_void_p).value
seen = []
for _ in range(3):
    two.run(ensure, lambda: seen.append(1))
print(seen)
""")
        self.assertEqual(("[1, 1, 1]\n", ""), (done.stdout, done.stderr))


if __name__ == "__main__":
    unittest.main(verbosity=2)
