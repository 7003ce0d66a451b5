"""The two commands that route: what `python3 -m pyattach` runs is as without, and what they refuse.

usage: preload_commands_test.py [unittest's words]
"""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from consumers import PYTHON, command, libpython, python_headers, run
from preloaded import HERE, Preloaded
from relinked_test import IS_WARM, is_debug


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


class Programs(Preloaded):
    """Programs that are no Python."""

    def test_a_plugin_brings_python(self):
        plugin, program = self.folder / "plugin.so", self.folder / "program"
        run(*command("CC", "cc"), "-shared", "-fPIC", "-isystem", python_headers()[0], HERE / "preloaded/plugin.c", "-o", plugin,
            libpython(), f"-Wl,-rpath,{Path(libpython()).parent}", "-pthread")
        run(*command("CC", "cc"), HERE / "preloaded/program.c", "-o", program, "-ldl")
        home = run(PYTHON, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
        environment = {**self.environment(), "PYTHONHOME": home}
        self.check("[1, 1, 1]\n", run(program, plugin, env=environment))
        warm = "[1, 1, 1]\n" if is_debug() else "[1, 2, 3]\n"
        self.check(warm, run(self.runner, program, plugin, env=environment))
        self.check("[1, 1, 1]\n", run(self.runner, "--except", "plugin*", program, plugin, env=environment))

    def test_a_program_without_python_is_as_before(self):
        done = run(self.runner, "--verbose", "sh", "-c", "echo $0; exit 3", "name", expect=3, env=self.environment())
        self.check("name\n", done)

    def test_what_was_preloaded_before_stays(self):
        done = run(self.runner, self.runner, "sh", "-c", 'echo "$LD_PRELOAD"', env=self.environment(LD_PRELOAD="libc.so.6"))
        self.assertEqual(f"libc.so.6:{self.library.resolve()}\n", done.stdout)


class Refused(Preloaded):
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

    def test_a_file_that_cannot_be_written_later(self):
        done = self.run_by("LD_PRELOAD", "-c", IS_WARM, PYATTACH_RUN_VERBOSE="/no/such/file")
        self.assertEqual(self.warm, done.stdout)
        self.assertIn("PYATTACH_RUN_VERBOSE", done.stderr)
        self.assertIn(f"routed {self.counted}", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
