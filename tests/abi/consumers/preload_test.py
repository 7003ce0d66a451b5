"""Unmodified modules, routed at run time: by pyattach-run, by LD_PRELOAD and by the Python package.

usage: preload_test.py [unittest's words]
"""

import shutil
import unittest

from consumers import command, python_headers, run
from preloaded import HERE, WARM_HERE, WAYS, Preloaded
from relinked_test import COLD, ENDS, IS_WARM, is_debug

EXITS = 3
WORDS = "(PyGILState_Ensure, PyGILState_Release, PyEval_SaveThread, PyEval_RestoreThread)"


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

    def test_threads_load_and_unload_at_the_same_time(self):
        program, libraries = self.folder / "storm", []
        run(*command("CC", "cc"), HERE / "preloaded/storm.c", "-o", program, "-pthread", "-ldl")
        for number in range(4):
            for binding in ("lazy", "now"):
                libraries.append(self.folder / f"stormy-{number}-{binding}.so")
                run(*command("CC", "cc"), "-shared", "-fPIC", f"-Wl,-z,relro,-z,{binding}", HERE / "preloaded/stormy.c", "-o",
                    libraries[-1])
        self.check(f"{8 * 200}\n", run(program, 200, *libraries, env=self.environment()))
        self.check("0\n", run(self.runner, program, 200, *libraries, env=self.environment()))

    def test_a_library_beside_its_caller_is_found(self):
        self.build("reached", HERE / "preloaded/reached.c")
        shutil.copy(self.counted, self.modules / "beside.so")
        self.check_script('''
import pyattach, reached
reached.open("$ORIGIN/beside.so")
reached.open("${ORIGIN}/beside.so")
print([it.words for it in pyattach.routed() if it.path.endswith("/beside.so")])
''', "[4]\n")

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
