"""Unmodified modules (relinked/counted.c and preloaded/), routed at run time: by pyattach-run, by LD_PRELOAD and by the
Python package.

usage: preload_test.py [unittest's words]
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, command, python_headers, run
from installed import Tree
from relinked_test import COLD, ENDS, IS_WARM, WARM, is_debug

HERE = SOURCE / "tests/abi/consumers"
EXITS = 3
WORDS = "(PyGILState_Ensure, PyGILState_Release, PyEval_SaveThread, PyEval_RestoreThread)"

WARM_HERE = """
import threading
def calls_of(call):
    local, seen = threading.local(), []
    def function():
        local.calls = getattr(local, "calls", 0) + 1
        seen.append(local.calls)
    call(function)
    return seen
"""


class Preloaded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if python_headers() is None:
            raise unittest.SkipTest(f"{PYTHON} HAS NO Python.h")
        cls.cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cls.cleanup.close)
        cls.folder = Path(cls.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-preloaded-"))).resolve()
        cls.tree = Tree(cls.folder)
        cls.runner = cls.tree.prefix / "bin/pyattach-run"
        cls.library = cls.tree.libraries / "libpyattach-preload.so"
        cls.package = cls.tree.prefix / "share/pyattach/python"
        cls.warm = COLD if is_debug() else WARM
        cls.modules = cls.folder / "modules"
        cls.modules.mkdir()
        cls.counted = cls.build("counted", HERE / "relinked/counted.c")
        (cls.modules / "is_warm.py").write_text(IS_WARM)

    @classmethod
    def build(cls, name, source, *flags, folder=None):
        """An extension module that nothing routes; `name` is that of its file."""
        include, suffix = python_headers()
        path = (folder or cls.modules) / f"{name}{suffix}"
        path.parent.mkdir(exist_ok=True)
        run(*command("CC", "cc"), "-std=gnu99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-isystem", include, source,
            "-o", path, *flags, "-pthread")
        return path

    def environment(self, **more):
        paths = [self.modules, self.package]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYATTACH_RUN", "LD_PRELOAD"))}
        return {**kept, "PYTHONPATH": os.pathsep.join(map(str, paths)), **more}

    def run_by(self, way, *words, options=(), expect=0, **environment):
        """Runs Python with these words, routed in one of the three ways; None: not routed."""
        if way == "pyattach-run":
            words = [self.runner, *options, PYTHON, *words]
        elif way == "package":
            words = [PYTHON, "-m", "pyattach", *options, *words]
        else:
            words = [PYTHON, *words]
        if way == "LD_PRELOAD":
            environment["LD_PRELOAD"] = str(self.library)
        return run(*words, expect=expect, env=self.environment(**environment), cwd=self.folder)

    def check(self, expected, done):
        self.assertEqual((expected, ""), (done.stdout, done.stderr))

    def check_script(self, script, expected, way="package"):
        self.check(expected, self.run_by(way, "-c", script))


WAYS = ("pyattach-run", "LD_PRELOAD", "package")


class Routed(Preloaded):
    def test_it_is_cold_without(self):
        self.check(COLD, self.run_by(None, "-c", IS_WARM))

    def test_native_threads_keep_their_thread_states(self):
        for way in WAYS:
            with self.subTest(way=way):
                self.check(self.warm, self.run_by(way, "-c", IS_WARM))

    def test_python_ends_while_threads_attach(self):
        for way in WAYS:
            with self.subTest(way=way):
                for _ in range(EXITS):
                    self.check("", self.run_by(way, "-c", ENDS))

    def test_nothing_is_routed_by_the_import_alone(self):
        script = "import pyattach\nassert pyattach.routed() == []\npyattach.unroute()\n" + IS_WARM
        self.check(COLD, self.run_by(None, "-c", script))

    def test_only_and_except(self):
        other = self.build("counted", HERE / "relinked/counted.c", folder=self.folder / "other")
        self.addCleanup(shutil.rmtree, other.parent)
        for options, is_routed in (
            (["--only", "counted.*"], True),
            (["--only=other*"], False),
            (["--only", "other*", "--only", "count?d*"], True),
            (["--except", "counted.*"], False),
            (["--except=other*"], True),
            (["--only", "*.so", "--except", "counted*"], False),
            (["--only", f"{self.modules}/*"], True),
            (["--only", f"{other.parent}/*"], False),
        ):
            for way in ("pyattach-run", "package"):
                with self.subTest(options=options, way=way):
                    self.check(self.warm if is_routed else COLD, self.run_by(way, "-c", IS_WARM, options=options))

    def test_variables_say_what_the_options_say(self):
        self.check(COLD, self.run_by("LD_PRELOAD", "-c", IS_WARM, PYATTACH_RUN_ONLY="a*:b*"))
        self.check(self.warm, self.run_by("LD_PRELOAD", "-c", IS_WARM, PYATTACH_RUN_ONLY="a*:c*"))
        self.check(COLD, self.run_by("LD_PRELOAD", "-c", IS_WARM, PYATTACH_RUN_EXCEPT="a*:c*"))
        # What was there before an option says nothing.
        self.check(self.warm, self.run_by("pyattach-run", "-c", IS_WARM, PYATTACH_RUN_EXCEPT="counted*"))

    def test_verbose_says_what_is_routed(self):
        for way in ("pyattach-run", "package"):
            with self.subTest(way=way):
                done = self.run_by(way, "-c", IS_WARM, options=["--verbose"])
                self.assertEqual(self.warm, done.stdout)
                lines = [line.partition("]: ")[2] for line in done.stderr.splitlines()]
                self.assertEqual(1, sum(line.startswith("CPython is in /") for line in lines), lines)
                self.assertEqual(1, lines.count(f"routed {self.counted}: 4 words {WORDS}"), lines)
                into = self.folder / f"said-by-{way}"
                self.check(self.warm, self.run_by(way, "-c", IS_WARM, options=[f"--verbose={into.name}"]))
                self.assertIn(f"routed {self.counted}: 4 words {WORDS}\n", into.read_text())

    def test_imports_are_followed(self):
        self.check_script("""
import pyattach
before = [it.path for it in pyattach.routed()]
import counted
added = [it for it in pyattach.routed() if it.path not in before]
print([(it.path == counted.__file__, it.words) for it in added], *added[0].functions)
""", f"[(True, 4)] {WORDS[1:-1].replace(',', '')}\n")

    def test_every_way_to_reach_a_function(self):
        for binding in ("lazy", "now"):
            self.build("reached", HERE / "preloaded/reached.c", f"-Wl,-z,{binding}")
            script = WARM_HERE + """
import reached, sys
for way in "pointer", "variable":
    print(calls_of(lambda function: reached.call(function, way)))
"""
            for flags in ("os.RTLD_NOW | os.RTLD_LOCAL", "os.RTLD_LAZY | os.RTLD_GLOBAL"):
                with self.subTest(binding=binding, flags=flags):
                    setting = f"import os, sys\nsys.setdlopenflags({flags})\n"
                    expected = "[1, 1, 1]\n" * 2 if is_debug() else "[1, 2, 3]\n" * 2
                    self.check_script(setting + script, expected)
                    self.check(expected, self.run_by("pyattach-run", "-c", setting + script))

    def test_a_library_in_the_run_path_of_its_caller_is_found_and_followed(self):
        (self.folder / "lib").mkdir()
        include, suffix = python_headers()
        run(*command("CC", "cc"), "-std=gnu99", "-shared", "-fPIC", "-isystem", include, HERE / "relinked/counted.c", "-o",
            self.folder / "lib/libfound.so", "-pthread")
        self.build("reached", HERE / "preloaded/reached.c", f"-Wl,-rpath,{self.folder / 'lib'}")
        self.check_script("""
import pyattach, reached
assert reached.open("libfound.so") == reached.open("libfound.so")
print([it.words for it in pyattach.routed() if it.path.endswith("libfound.so")])
try:
    reached.open("libnotthere.so")
except OSError as error:
    print(error)
""", "[4]\nlibnotthere.so: cannot open shared object file: No such file or directory\n")

    def test_a_library_is_closed_and_opened_again(self):
        copy = self.folder / "closed.so"
        shutil.copy(self.counted, copy)
        self.check_script(f"""
import _ctypes, os, pyattach
def words():
    return [it.words for it in pyattach.routed() if it.path == {str(copy)!r}]
for _ in range(3):
    handle = _ctypes.dlopen({str(copy)!r}, os.RTLD_NOW)
    print(words())
    _ctypes.dlclose(handle)
handle = _ctypes.dlopen({str(copy)!r}, os.RTLD_NOW)
_ctypes.dlclose(handle)
pyattach.unroute() # of words that are not there any more
pyattach.route()
print(words())
""", "[4]\n[4]\n[4]\n[]\n")

    def test_beside_a_module_that_is_linked_to_the_stubs(self):
        folder = self.folder / "linked"
        folder.mkdir()
        flags = run(*command("PKG_CONFIG", "pkg-config"), "--libs", "pyattach-gilstate", env=self.tree.environment()).stdout.split()
        source = folder / "linked.c"
        source.write_text((HERE / "relinked/counted.c").read_text().replace("PyInit_counted", "PyInit_linked")
                          .replace('"counted"', '"linked"'))
        self.build("linked", source, *flags)
        script = WARM_HERE + f"""
import counted, linked, pyattach
print(calls_of(lambda function: linked.call(function, 3)), calls_of(lambda function: counted.call(function, 3)))
# On one thread, one inside the other.
seen = []
counted.call(lambda: linked.call(lambda: counted.call(lambda: seen.append(1), 2), 2), 2)
print(len(seen), [it.path for it in pyattach.routed() if it.path == linked.__file__])
"""
        expected = f"{[1] * 3} {[1] * 3}\n8 []\n" if is_debug() else f"{[1, 2, 3]} {[1, 2, 3]}\n8 []\n"
        for way in WAYS:
            with self.subTest(way=way):
                self.check(expected, self.run_by(way, "-c", script, LD_LIBRARY_PATH=str(self.tree.libraries)))

    def test_fork(self):
        self.check_script("""
import os, counted, warnings
warnings.simplefilter("ignore") # of a fork beside threads
print(counted.call(lambda: None, 2), flush=True)
child = os.fork()
if not child:
    import _ctypes
    seen = []
    assert counted.call(lambda: seen.append(1), 3) == 0 and len(seen) == 3
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if hasattr(os, "waitstatus_to_exitcode") else 7)
print(counted.call(lambda: None, 2))
""", "0\n7\n0\n")

    def test_sub_interpreters(self):
        self.check_script("""
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import counted
for _ in range(2):
    made = interpreters.create()
    # A module with one phase of initialization, and so without threads here.
    failed = interpreters.run_string(made, "import threading, time, zlib; zlib.compress(b'1' * 100000)")
    assert not failed, failed
    interpreters.destroy(made)
print(counted.call(lambda: None, 3))
""", "0\n")


class Unrouted(Preloaded):
    """What holds after routing has been undone."""

    def test_calls_are_not_routed_any_more(self):
        cold, warm = [1, 1, 1], [1, 1, 1] if is_debug() else [1, 2, 3]
        script = WARM_HERE + """
import counted, pyattach
def show():
    print(calls_of(lambda function: counted.call(function, 3)), any(it.path == counted.__file__ for it in pyattach.routed()))
show()
pyattach.unroute()
show()
pyattach.unroute()
pyattach.route()
show()
"""
        for way in WAYS:
            with self.subTest(way=way):
                self.check(f"{warm} True\n{cold} False\n{warm} True\n", self.run_by(way, "-c", script))

    def test_the_words_hold_again_what_they_held(self):
        self.build("reached", HERE / "preloaded/reached.c")
        self.check(f"True False True\n", self.run_by(None, "-c", """
import pyattach, reached
before = reached.address()
pyattach.route()
during = reached.address()
pyattach.unroute()
import ctypes
own = ctypes.cast(ctypes.pythonapi.PyGILState_Ensure, ctypes.c_void_p).value
print(before == reached.address(), before == during, before == own)
"""))

    def test_what_is_open_meanwhile_is_ended_where_it_was_begun(self):
        """The main thread is in a gap, and a native thread in an ensure, from which it undoes routing."""
        script = """
import counted, pyattach, threading
counts = []
def function():
    counts.append(1)
    if len(counts) == 3:
        pyattach.unroute()
assert counted.call(function, 6) == 0
assert counted.call(function, 6) == 0
print(len(counts))
counts.clear()
pyattach.route()
assert counted.call(function, 6) == 0
print(len(counts))
pyattach.route()
def nested():
    # A gap and an ensure inside of it, both routed; the innermost undoes that.
    counts.clear()
    counted.call(function, 4)
assert counted.call(nested, 2) == 0
print("end")
"""
        for way in WAYS:
            with self.subTest(way=way):
                self.check("12\n6\nend\n", self.run_by(way, "-c", script))


class Scripts(Preloaded):
    """`python3 -m pyattach SCRIPT` is what `python3 SCRIPT` is."""

    SHOW = """
import sys
print(sys.argv, sys.path[:2], sys.modules["__main__"].__dict__ is globals())
print({name: value if isinstance(value, (str, dict, type(None))) else type(value).__name__
       for name, value in sorted(globals().items()) if name != "sys"})
"""
    FILES = {
        "show.py": SHOW,
        "fails.py": "def f():\n    raise ValueError('no')\nf()\n",
        "chain.py": "try:\n    1/0\nexcept ZeroDivisionError as error:\n    raise KeyError(3) from error\n",
        "says.py": "import sys\nsys.exit('bye')\n",
        "exits.py": "import atexit\natexit.register(print, 'at exit')\nraise SystemExit(7)\n",
        "syntax.py": "x = = 1\n",
        "interrupted.py": "raise KeyboardInterrupt\n",
        "hook.py": "import sys, traceback\nsys.excepthook = lambda *it: print(it[:2], traceback.format_tb(it[2]))\n1/0\n",
        "latin.py": "# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n".encode("latin-1"),
        "pickles.py": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)\n",
        "spawns.py": "import multiprocessing\ndef f(x): return x + 1\nif __name__ == '__main__':\n"
                     "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(f, [1, 2]))\n",
        "package/__init__.py": "",
        "package/__main__.py": SHOW + "1/0\n",
        "package/shows.py": "",
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scripts = cls.folder / "scripts"
        (cls.scripts / "package").mkdir(parents=True)
        for name, text in cls.FILES.items():
            (cls.scripts / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        (cls.scripts / "package/link.py").symlink_to(cls.scripts / "show.py")

    def compare(self, *words, flags=(), **more):
        environment = self.environment(PYTHONPATH=str(self.package))
        seen = [run(PYTHON, "-B", *flags, *routed, *words, expect=None, env=environment, cwd=self.scripts, **more)
                for routed in ([], ["-m", "pyattach"])]
        plain, routed = ((it.returncode, it.stdout, it.stderr) for it in seen)
        self.assertEqual(plain, routed)
        return seen[0]

    def test_arguments_path_and_main(self):
        for words in (["show.py", "a", "-c"], ["./show.py"], [self.scripts / "show.py", "--only", "x"], ["package/link.py"],
                      ["package"], ["-m", "package", "a"], ["-m", "show", "-m"],
                      ["-c", "import sys; print(sys.argv, sys.path[:2], sorted(globals()), __loader__)", "-x"]):
            with self.subTest(words=words):
                self.compare(*words)

    def test_how_a_script_ends(self):
        statuses = {"fails.py": 1, "chain.py": 1, "says.py": 1, "exits.py": 7, "syntax.py": 1, "interrupted.py": -2, "hook.py": 1,
                    "latin.py": 0, "pickles.py": 0, "spawns.py": 0, "missing.py": 2, "missing/": 2}
        for name, status in statuses.items():
            with self.subTest(name=name):
                self.assertEqual(status, self.compare(name).returncode)

    def test_modules_and_commands(self):
        for words in (["-m", "missing"], ["-c", "1/0"], ["-c", "def f():\n  raise KeyError\nf()"], ["-c", "x = ="]):
            with self.subTest(words=words):
                self.compare(*words)

    def test_standard_input(self):
        for text in ("import sys; print(sys.argv, __name__)\n", "1/0\n"):
            read = [subprocess.run([PYTHON, *routed, "-", "a"], input=text, capture_output=True, text=True,
                                   env=self.environment()) for routed in ([], ["-m", "pyattach"])]
            self.assertEqual(*((it.returncode, it.stdout) for it in read))

    def test_safe_path(self):
        if run(PYTHON, "-P", "-c", "", expect=None).returncode:
            self.skipTest("this Python has no option -P")
        self.compare("show.py", flags=["-P"])


class Refused(Preloaded):
    def refuse(self, status, words, *said, **environment):
        done = run(*words, expect=status, env=self.environment(**environment))
        self.assertEqual("", done.stdout)
        for word in said:
            self.assertIn(word, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_the_commands_say_what_is_wrong(self):
        for command_line in ([self.runner], [PYTHON, "-m", "pyattach"]):
            with self.subTest(command_line=command_line):
                self.refuse(2, [*command_line, "--wrong", "x"], "there is no option --wrong", "--help")
                self.refuse(2, [*command_line], "is missing", "--help")
                self.refuse(2, [*command_line, "--only"], "--only needs a pattern")
                self.refuse(2, [*command_line, "--only", "", "x"], "pattern")
                self.refuse(2, [*command_line, "--except", "a:b", "x"], "a:b", "colon", "?")
                self.refuse(2, [*command_line, "--verbose=/no/such/folder/file", "x"], "/no/such/folder/file")
                self.refuse(2, [*command_line, "x"], "/no/such.so", PYATTACH_PRELOAD_LIBRARY="/no/such.so")

    def test_python_refuses_patterns_that_are_none(self):
        self.check(("ValueError\n" * 3), self.run_by(None, "-c", """
import pyattach
for wrong in "", "a:b", ["a", "b\\0"]:
    try:
        pyattach.route(only=wrong)
    except ValueError as error:
        print(type(error).__name__)
assert pyattach.routed() == []
"""))

    def test_a_program_that_is_not_there(self):
        self.refuse(127, [self.runner, "no-such-program"], "no-such-program: No such file")
        self.refuse(127, [self.runner, "/no/such/program"], "/no/such/program: No such file")
        self.refuse(126, [self.runner, self.counted.parent], "Permission denied")

    def test_programs_for_which_it_would_be_without_effect(self):
        source, static = self.folder / "main.c", self.folder / "static"
        source.write_text("int main(void) { return 0; }\n")
        if subprocess.run([*command("CC", "cc"), "-static", source, "-o", static], capture_output=True).returncode == 0:
            self.refuse(2, [self.runner, static], "linked statically")
        other = self.folder / "other-machine"
        program = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
        program[18] = 3  # i386
        other.write_bytes(program)
        other.chmod(0o755)
        self.refuse(2, [self.runner, other], "another kind of machine")
        if os.geteuid() == 0:
            setuid = self.folder / "setuid"
            shutil.copy("/bin/true", setuid)
            os.chown(setuid, 65534, 65534)
            setuid.chmod(0o4755)
            self.refuse(2, [self.runner, setuid], "setuid", "LD_PRELOAD")

    def test_a_path_that_ld_preload_cannot_hold(self):
        folder = self.folder / "with space"
        folder.mkdir()
        shutil.copy(self.library, folder)
        self.refuse(2, [self.runner, "true"], "a space or a colon", PYATTACH_PRELOAD_LIBRARY=str(folder / self.library.name))

    def test_what_was_preloaded_before_stays(self):
        done = run(self.runner, self.runner, "sh", "-c", 'echo "$LD_PRELOAD"', env=self.environment(LD_PRELOAD="libc.so.6"))
        self.assertEqual(f"libc.so.6:{self.library.resolve()}\n", done.stdout)

    def test_a_program_without_python_is_as_before(self):
        done = run(self.runner, "--verbose", "sh", "-c", "echo $0; exit 3", "name", expect=3, env=self.environment())
        self.check("name\n", done)

    def test_a_file_that_cannot_be_written_later(self):
        done = self.run_by("LD_PRELOAD", "-c", IS_WARM, PYATTACH_RUN_VERBOSE="/no/such/file")
        self.assertEqual(self.warm, done.stdout)
        self.assertIn("PYATTACH_RUN_VERBOSE", done.stderr)
        self.assertIn(f"routed {self.counted}", done.stderr)


class Names(Preloaded):
    def test_the_library_routes_what_the_stubs_route(self):
        header = (self.tree.prefix / "include/pyattach/route_gilstate.h").read_text()
        named = {line.split()[1] for line in header.splitlines() if line.startswith("#define ") and "__wrap" in line}
        done = self.run_by(None, "-c", """
import pyattach
function = pyattach._load().pyattach_preload_function
print(*sorted(name.decode() for name in map(function, range(32)) if name))
""")
        self.check(" ".join(sorted(named)) + "\n", done)

    def test_what_the_library_exports(self):
        lines = run("nm", "-D", "--defined-only", self.library).stdout.splitlines()
        self.assertEqual([], [line for line in lines if "pyattach_preload_" not in line])


if __name__ == "__main__":
    unittest.main(verbosity=2)
