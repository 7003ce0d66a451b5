"""The declarations for Cython (capi/cython): that they are those of the headers, are found where they are installed, and
that the scopes of with_scopes.pxd keep what they promise.
"""

import contextlib
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, command, compile_cython, python_headers, run
from installed import Tree

PXD = SOURCE / "capi/cython/pyattach"
FUNCTION = re.compile(r"^    (?P<result>[\w ]+[ *]+)(?P<name>pyattach_\w+)\((?P<parameters>.*)\)$", re.M)
CALLBACK = re.compile(r"^    ctypedef (?P<before>.* \(\*)(?P<name>pyattach_\w+)(?P<after>\).*)$", re.M)
RECORD = re.compile(r"^    ctypedef (?P<kind>struct|enum) (?P<name>\w+):\n(?P<members>(?:        .*\n)+)", re.M)

STATES = """
# cython: language_level=3
cimport pyattach
from pyattach.base cimport pyattach_status
from pyattach.with_scopes cimport with_attached, with_detached

cdef extern from "pthread.h" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(pthread_t *, const void *, void *(*)(void *) noexcept nogil, void *)
    int pthread_join(pthread_t, void **)

cdef struct seen:
    void *function
    pyattach_status status
    int calls, attached

cdef void attached(void *argument) except *:
    cdef seen *it = <seen *>argument
    it.calls += 1
    it.attached = pyattach.pyattach_is_attached()
    (<object>it.function)()

cdef void detached(void *argument) noexcept nogil:
    cdef seen *it = <seen *>argument
    it.calls += 1
    it.attached = pyattach.pyattach_is_attached()

cdef void *work(void *argument) noexcept nogil:
    cdef seen *it = <seen *>argument
    it.status = with_attached(NULL, attached, it)
    return NULL

def on_native_thread(function):
    cdef seen it = seen(<void *>function, pyattach.PYATTACH_OK, 0, -1)
    cdef pthread_t thread
    with nogil:
        pthread_create(&thread, NULL, work, &it)
        pthread_join(thread, NULL)
    return it.status, it.calls, it.attached

def nested(function):
    cdef seen it = seen(<void *>function, pyattach.PYATTACH_OK, 0, -1)
    it.status = with_attached(pyattach.pyattach_interpreter_current(), attached, &it)
    return it.status, it.calls, it.attached

def aside(bint is_detached_already):
    cdef seen it = seen(NULL, pyattach.PYATTACH_OK, 0, -1)
    if is_detached_already:
        with nogil:
            it.status = with_detached(detached, &it)
    else:
        it.status = with_detached(detached, &it)
    return it.status, it.calls, it.attached, pyattach.pyattach_is_attached()
"""

WITH_GIL = """
cimport pyattach
cdef void refused(void *function) noexcept nogil:
    cdef pyattach.pyattach_attached scope
    if pyattach.pyattach_attached_begin(&scope) != pyattach.PYATTACH_OK:
        return
    try:
        with gil:
            (<object>function)()
    finally:
        pyattach.pyattach_attached_end(&scope)
def use(function):
    refused(<void *>function)
"""


class CythonTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cleanup.close)
        cls.folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-cython-")))
        cls.tree = Tree(cls.folder)
        cls.tree.move(cls.folder / "moved/usr")
        cls.environment = {**cls.tree.environment(), "LD_LIBRARY_PATH": str(cls.tree.libraries)}
        cls.texts = {path.stem: path.read_text() for path in PXD.glob("*.pxd")}
        cls.declared = "\n".join(re.sub(r"\n {8}(?=.*\))", " ", text)  # what was wrapped, in one line again
                                 for name, text in cls.texts.items() if name != "with_scopes")

    def ask(self, *words):
        return run(*command("PKG_CONFIG", "pkg-config"), *words, env=self.environment).stdout.split()

    def written(self, source, suffix=".c"):
        """What Cython makes of a source in a folder of its own."""
        result = (Path(tempfile.mkdtemp(dir=self.folder)) / source.name).with_suffix(suffix)
        compile_cython(source, *self.ask("--variable=pxddir", "pyattach"), result)
        return result

    def module(self, name, text, suffix=".c"):
        """The folder of an extension module. Types that differ are errors, whatever else Cython's C has of warnings."""
        if python_headers() is None:
            self.skipTest(f"{PYTHON} HAS NO Python.h")
        source = Path(tempfile.mkdtemp(dir=self.folder)) / f"{name}.pyx"
        source.write_text(text)
        written = self.written(source, suffix)
        include, ending = python_headers()
        compiler = [*command("CC", "cc"), "-std=gnu99", "-Werror=incompatible-pointer-types", "-Werror=int-conversion"]
        if suffix == ".cpp":
            compiler = [*command("CXX", "c++"), "-std=c++17"]
        run(*compiler, "-shared", "-fPIC", "-isystem", include, *self.ask("--cflags", "pyattach"),
            written, "-o", written.with_name(name + ending), *self.ask("--libs", "pyattach"), "-pthread")
        return written.parent

    def python(self, folder, script):
        done = run(PYTHON, "-c", script, env={**self.environment, "PYTHONPATH": str(folder)})
        self.assertEqual("", done.stderr)
        return done.stdout

    # --- The declarations ---

    def test_they_are_what_the_tool_writes_from_the_headers(self):
        done = run(SOURCE / "tools/pxd", "--check", expect=None)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_a_header_that_changed_is_noticed(self):
        copy = self.folder / "copy"
        for part in ("tools/pxd", "include/pyattach", "capi/cython"):
            (copy / part).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copy if part == "tools/pxd" else shutil.copytree)(SOURCE / part, copy / part)
        header = copy / "include/pyattach/attached.h"
        text = header.read_text()
        for old, new in (("int pyattach_attach_depth(void)", "long pyattach_attach_depth(void)"),
                         ("    int no_drain;", "    int no_drain, more;"),
                         ("PYATTACH_API int pyattach_is_attached(void);", "")):
            self.assertIn(old, text)
            header.write_text(text.replace(old, new))
            self.assertIn("attached.pxd", run(copy / "tools/pxd", "--check", expect=1).stdout)
        header.write_text(text)
        (copy / "include/pyattach/new.h").write_text("PYATTACH_API void pyattach_new(void);\n")
        self.assertIn("new.pxd", run(copy / "tools/pxd", "--check", expect=1).stdout)

    def test_they_name_every_exported_function(self):
        exported = (SOURCE / "capi/symbols.txt").read_text().split()
        self.assertEqual(sorted(exported), sorted(found["name"] for found in FUNCTION.finditer(self.declared)))

    def test_all_are_installed(self):
        self.assertEqual(sorted(path.name for path in PXD.glob("*.pxd")),
                         sorted(path.name for path in (self.tree.pxddir / "pyattach").iterdir()))

    def every_declaration(self):
        """A module in whose C each declaration of Cython's meets that of the header."""
        types, functions, values, used = [], [], [], 0
        for found in FUNCTION.finditer(self.declared):
            used += 1
            if found["name"] == "pyattach_call":  # its array is of constant pointers
                functions.append("    pyattach_call(NULL, <PyObject **>NULL, 0, NULL)")
            else:
                types.append(f"ctypedef {found['result']}(*t{used})({found['parameters']}) noexcept nogil")
                functions.append(f"    cdef t{used} f{used} = {found['name']}")
        for found in CALLBACK.finditer(self.declared):
            used += 1
            types.append(f"ctypedef {found['before']}t{used}{found['after']}")
            functions += [f"    cdef {found['name']} c{used} = NULL", f"    cdef t{used} d{used} = c{used}"]
        for found in RECORD.finditer(self.declared):
            members = [line.strip() for line in found["members"].splitlines()]
            if found["kind"] == "enum":
                values += members
                continue
            functions.append(f"    cdef {found['name']} *its_{found['name']} = NULL")
            for member in members:
                name, length = re.search(r"(\w+)((?:\[\d+\])?)$", member).groups()
                if member != "pass":
                    used += 1
                    kind = member[:-len(name + length)]
                    if length:  # Cython has pointers to arrays of a type that has a name
                        types.append(f"ctypedef {kind}a{used}{length}")
                        kind = f"a{used} "
                    functions.append(f"    cdef {kind}*m{used} = &its_{found['name']}.{name}")
        values += re.findall(r"^    (?:unsigned )?int (PYATTACH_\w+)$", self.declared, re.M)
        self.assertGreater(used, 120)
        self.assertGreater(len(values), 20)
        named = ", ".join(f"{name!r}: {name}" for name in values)
        imports = "".join(f"from pyattach.{name} cimport *\n" for name in self.texts if name != "__init__")
        return (f"# cython: language_level=3\nfrom libc.stdint cimport int64_t, uint64_t\nfrom cpython.object cimport PyObject\n"
                + imports + "\n".join(types) + "\ncdef void never() noexcept:\n" + "\n".join(functions)
                + f"\ndef values():\n    if pyattach_is_attached() == 5:\n        never()\n    return {{{named}}}\n"), values

    def test_cython_and_the_compiler_agree_on_every_declaration(self):
        text, names = self.every_declaration()
        for suffix in (".c", ".cpp"):
            with self.subTest(suffix=suffix):
                folder = self.module("every", text, suffix)
                self.assertEqual(f"{len(names)} 2 10\n", self.python(folder, """
import every
values = every.values()
print(len(values), values["PYATTACH_FINALIZING"], values["PYATTACH_INVALID"])
"""))

    def test_a_declaration_that_differs_is_an_error(self):
        """Cython believes a declaration; the C compiler does not."""
        for wrong in ("long pyattach_attach_depth()", "int pyattach_attach_depth(int depth)"):
            text = f"""# cython: language_level=3
cdef extern from "pyattach/attached.h" nogil:
    {wrong}
ctypedef {wrong.replace("pyattach_attach_depth", "(*function_type)")} noexcept nogil
cdef void never() noexcept:
    cdef function_type function = pyattach_attach_depth
def f():
    never()
"""
            with self.subTest(declaration=wrong), self.assertRaisesRegex(AssertionError, "incompatible"):
                self.module("wrong", text)

    def test_the_package_brings_every_name(self):
        folder = self.module("whole", "cimport pyattach\nfrom pyattach cimport pyattach_attached, PYATTACH_OK\n"
                                      "cdef pyattach.pyattach_mutex lock\ndef f():\n    cdef pyattach_attached scope\n"
                                      "    pyattach.pyattach_mutex_lock(&lock)\n    pyattach.pyattach_mutex_unlock(&lock)\n"
                                      "    status = pyattach.pyattach_attached_assume(&scope)\n"
                                      "    pyattach.pyattach_attached_end(&scope)\n"
                                      "    return status == PYATTACH_OK, pyattach.pyattach_version() == pyattach.PYATTACH_VERSION\n")
        self.assertEqual("(True, True)\n", self.python(folder, "import whole; print(whole.f())"))

    def test_cmake_finds_them(self):
        if shutil.which("cmake") is None:
            self.skipTest("THERE IS NO CMake HERE (on Debian: apt install cmake)")
        project = Path(tempfile.mkdtemp(dir=self.folder))
        (project / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.13...3.25)\nproject(it C)\n"
                                                'find_package(pyattach CONFIG REQUIRED)\nmessage("[${pyattach_PXD_DIR}]")\n')
        done = run("cmake", "-GNinja", "-S", project, "-B", project / "build", env=self.environment)
        self.assertIn(f"[{self.tree.pxddir.resolve()}]", done.stderr)

    # --- with_scopes.pxd ---

    def test_with_attached_attaches_or_says_why_not(self):
        folder = self.module("states", STATES)
        self.assertEqual("(0, 1, 1)\n(0, 1, 1)\n(2, 0, -1)\n", self.python(folder, """
import atexit, states
print(states.on_native_thread(lambda: None), states.nested(lambda: None), sep="\\n")
atexit._run_exitfuncs()  # the gate closes
print(states.on_native_thread(lambda: None), flush=True)
"""))

    def test_what_is_raised_in_with_attached_goes_to_the_hook(self):
        folder = self.module("states", STATES)
        self.assertEqual("(0, 1, 1) (0, 1, 1) ['KeyError', 'KeyError'] ['<lambda>', '<lambda>']\n", self.python(folder, """
import states, sys, traceback
seen, where = [], []
def hook(it):
    seen.append(it.exc_type.__name__)
    where.append(traceback.extract_tb(it.exc_traceback)[-1].name)
sys.unraisablehook = hook
print(states.on_native_thread(lambda: {}[1]), states.nested(lambda: {}[1]), seen, where)
"""))

    def test_with_detached_detaches_where_the_thread_is_attached(self):
        folder = self.module("states", STATES, ".cpp")
        self.assertEqual("(0, 1, 0, 1) (4, 0, -1, 1)\n",
                         self.python(folder, "import states; print(states.aside(False), states.aside(True))"))

    # --- What the documents say of `with gil` ---

    def body(self, written, name):
        """The C of a function."""
        return re.search(rf"^static [^\n]*__pyx_f_\w+_{name}\([^\n]*\) {{\n(.*?)^}}", written.read_text(), re.M | re.S)[1]

    def test_nogil_code_of_the_example_has_no_call_of_pygilstate(self):
        written = self.written(SOURCE / "examples/extension_cython/primes.pyx")
        for name in ("run", "is_prime", "forget", "at_exit", "wait_a_while"):
            with self.subTest(function=name):
                self.assertNotIn("PyGILState", self.body(written, name))
        source = self.folder / "gil.pyx"
        source.write_text("# cython: language_level=3\n" + WITH_GIL)
        # Also behind the label of its return, which a thread that was refused comes to, if Cython has objects to release there.
        body = self.body(self.written(source), "refused")
        self.assertRegex(body, r"(?s)pyattach_attached_end.*PyGILState_Ensure")


if __name__ == "__main__":
    unittest.main(verbosity=2)
