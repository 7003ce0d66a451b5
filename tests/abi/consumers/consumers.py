"""The examples, built as other people's programs build them: what the tests of this folder share.

They are told, through the environment:
  PYATTACH_TEST_BUILD    the build directory; its library is what gets installed
  PYATTACH_TEST_PYTHON   the Python to run with; if it is not set, PYATTACH_TEST_DEFAULT_PYTHON
  MESON, CC, CXX         commands, each may have arguments
"""

import contextlib
import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ["PYATTACH_TEST_BUILD"])
PYTHON = os.environ.get("PYATTACH_TEST_PYTHON") or os.environ["PYATTACH_TEST_DEFAULT_PYTHON"]
# Meson lets what it runs find the library that it has built; consumers have to find the one that is installed.
os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(
    path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if Path(path) != BUILD / "capi")
DEADLINE_S = 300  # of one command; reached only by a hang


def command(name, default):
    chosen = shlex.split(os.environ.get(name) or default)
    # In another root there may be no launcher such as ccache, or another compiler.
    while chosen and not shutil.which(chosen[0]):
        chosen.pop(0)
    return chosen or [default]


def run(*words, expect=0, **more):
    """Runs a command; a status other than `expect` is a failure that shows what it said. None: any status will do."""
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    done = subprocess.run(
        [str(word) for word in words], text=True, errors="backslashreplace", timeout=DEADLINE_S, **more)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{shlex.join(map(str, words))}\nended with {done.returncode}, not {expect}; it said:\n"
                             f"{done.stdout}{done.stderr}")
    return done


@functools.lru_cache(maxsize=None)
def python_headers():
    """The include directory of the Python under test, and its suffix of extension modules. None: it has no headers."""
    include, suffix = run(PYTHON, SOURCE / "examples/python_headers.py").stdout.split()
    return (include, suffix) if Path(include, "Python.h").exists() else None


@functools.lru_cache(maxsize=None)
def is_debug_python():
    return run(PYTHON, "-c", "import sys; print(hasattr(sys, 'gettotalrefcount'))").stdout == "True\n"


@functools.lru_cache(maxsize=None)
def libpython():
    """The shared library of the Python under test."""
    return os.environ.get("PYATTACH_TEST_LIBPYTHON") or run(
        PYTHON, SOURCE / "tests/support/describe_python.py").stdout.splitlines()[1]


@functools.lru_cache(maxsize=None)
def cython():
    """The command that runs Cython ($CYTHON, cython3 or cython), with what the Python under test needs; or why there is none."""
    name = shutil.which("cython3") or shutil.which("cython")
    if not name and "CYTHON" not in os.environ:
        return "THERE IS NO CYTHON HERE (on Debian: apt install cython3)"
    words = command("CYTHON", name)
    done = run(*words, "--version")
    version = tuple(map(int, re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr).groups()))
    about = run(PYTHON, "-c", "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)")
    *python, is_free_threaded = map(int, about.stdout.split())
    if version < (3, 0) and python > [3, 11] or version < (3, 1) and is_free_threaded:
        return f"CYTHON {version[0]}.{version[1]} IS OLDER THAN THIS PYTHON"
    return [*words, *(["-X", "freethreading_compatible=True"] if is_free_threaded else [])]


def compile_cython(source, pxddir, result):
    """Writes what Cython makes of a source: C; C++ where the result ends in .cpp."""
    if isinstance(cython(), str):
        raise unittest.SkipTest(cython())
    run(*cython(), *(["--cplus"] if result.suffix == ".cpp" else []), "-3", "-I", pxddir, source, "-o", result)


def needed(binary):
    """The libraries a binary asks the dynamic linker for."""
    lines = run("readelf", "-d", binary).stdout.splitlines()
    return [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]


class Consumer(unittest.TestCase):
    """A test case with a folder of its own, and a place for what is built in it: `host`, `plugin`, `modules`."""

    host = plugin = None
    modules = None  # the folders of the extension modules; None: the Python under test has no headers

    @classmethod
    def setUpClass(cls):
        cls.cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cls.cleanup.close)
        cls.folder = Path(cls.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-consumer-")))
        cls.build()

    @classmethod
    def build(cls):
        raise unittest.SkipTest("nothing is built here; subclasses do")

    def run_host(self, *words, expect=0, **more):
        """The host with its plugin, and the Python under test unless `words` name another."""
        return run(self.host, "--plugin", self.plugin, "--python", PYTHON, *words, expect=expect, **more)

    def python(self, script, *words, expect=0):
        """Runs a script, with the extension modules within reach, in the Python under test."""
        if self.modules is None:
            self.skipTest(f"{PYTHON} HAS NO Python.h: the extension modules were not built")
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, self.modules)))
        return run(PYTHON, *words, "-c", script, expect=expect, env=environment)

    def module(self, name):
        """The file of an extension module, which has been imported once."""
        return Path(self.python(f"import {name}; print({name}.__file__)").stdout.rstrip("\n"))

    def in_sub_interpreters(self, script, threads=False):
        """Runs a script in two sub-interpreters, one after the other, and then in the main one; with threads that come and go?"""
        done = self.python(f"""
import sys
if sys.version_info < (3, 12):
    sys.exit("too old")
if {threads} and sys.hexversion >> 8 == 0x030d00:
    sys.exit("3.13.0")
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
script = {script!r}
for _ in range(2):
    one = interpreters.create()
    failed = interpreters.run_string(one, script)
    assert not failed, failed
    interpreters.destroy(one)
exec(script)
""", expect=None)
        if done.stderr == "too old\n":
            self.skipTest("UP TO 3.11 A THREAD THAT PYTHON MOVED INTO A SUB-INTERPRETER IS NOT RECOGNISED (attached.h)")
        if done.stderr == "3.13.0\n":
            self.skipTest("3.13.0 CANNOT MAKE A THREAD STATE WHILE AN INTERPRETER'S LAST ONE IS DELETED (gh-126914, docs/sub-interpreters.md)")
        self.assertEqual(("", "", 0), (done.stdout, done.stderr, done.returncode))
