#!/usr/bin/env python3
"""gdb's command `info pyattach`, in a process and in its core file: it says of each thread what the library's own report
says. Without gdb, or where gdb may not run a program, this is skipped.

    gdb_test.py DEBUGGED LIBPYTHON SCRIPT
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DEBUGGED, LIBPYTHON, SCRIPT = sys.argv[1], os.environ.get("PYATTACH_TEST_LIBPYTHON", sys.argv[2]), Path(sys.argv[3])
GDB = shutil.which("gdb")
LINE = re.compile(r"^  thread (\d+) \((.*)\): (.*)$", re.M)


def gdb(*arguments, script=SCRIPT):
    """What gdb prints, after it has been told of the command."""
    sourced = ["-iex", f"source {script}"] if script else []
    done = subprocess.run([GDB, "-nx", "-batch", "-iex", "set debuginfod enabled off", *sourced, *arguments], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)
    return done.stdout


def listed(text):
    """The summary, and what is said of each thread by its number. The lines are the last that begin with `pyattach:`."""
    text = text[text.rindex("pyattach: "):]
    return text.split("\n", 1)[0], {number: said for number, _, said in LINE.findall(text)}


class GdbTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.core = Path(cls.folder.name) / "core"
        # The program's own report goes to a file, the rest is gdb's.
        cls.report = Path(cls.folder.name) / "report"
        cls.live = gdb("-ex", "break all_threads_are_there", "-ex", f"run {LIBPYTHON} >{cls.report}",
                       "-ex", "info pyattach", "-ex", f"generate-core-file {cls.core}", "-ex", "kill", DEBUGGED)
        if "hit Breakpoint 1" not in cls.live:
            cls.folder.cleanup()
            if re.search("ptrace: Operation not permitted|Could not trace the inferior", cls.live):
                raise unittest.SkipTest("gdb may not run a program here")
            raise AssertionError(cls.live)
        cls.expected = listed(cls.report.read_text())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_a_process(self):
        self.assertEqual(self.expected, listed(self.live), self.live)
        said = dict((name, what) for _, name, what in LINE.findall(self.report.read_text()))
        has_gil = said["waiter"].startswith("waiting")
        self.assertEqual(said, {"holder": 'attached, main interpreter, "decode"', "gap": "detached, main interpreter",
                                "waiter": ("waiting" if has_gil else "attached") + ", main interpreter",
                                "idle": "idle, main interpreter", "debugged": "idle, main interpreter"})
        self.assertIn('("holder", thread ', self.live)

    def test_a_core_file(self):
        text = gdb("-ex", "info pyattach", DEBUGGED, str(self.core))
        self.assertEqual(self.expected, listed(text), text)

    def test_the_script_is_loaded_with_the_library(self):
        library = Path(os.environ["PYATTACH_TEST_LIBRARY"]).resolve()
        beside = library.with_name(library.name + "-gdb.py")
        self.assertTrue(beside.exists(), f"there is no {beside}")
        text = gdb("-iex", f"add-auto-load-safe-path {library.parent}", "-ex", "info pyattach", DEBUGGED, str(self.core),
                   script=None)
        self.assertEqual(self.expected, listed(text), text)

    def test_what_is_not_there_is_said(self):
        text = gdb("-ex", "info pyattach", "/bin/true")
        self.assertIn("info pyattach: libpyattach is not loaded, or its debug information is not installed", text)
        self.assertIn("info pyattach takes no argument", gdb("-ex", "info pyattach now", "/bin/true"))


if __name__ == "__main__":
    if not GDB:
        print("there is no gdb (on Debian: apt install gdb)")
        sys.exit(77)
    if "Python scripting is not supported" in gdb("-ex", "python 0", script=None):
        print("this gdb was built without Python")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
