"""Unmodified modules (relinked/counted.c and preloaded/), and how they are routed at run time: what their tests share."""

import contextlib
import os
import tempfile
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, command, python_headers, run
from installed import Tree
from relinked_test import COLD, IS_WARM, WARM, is_debug

HERE = SOURCE / "tests/abi/consumers"
WAYS = ("pyattach-run", "LD_PRELOAD", "package")

# A native thread that has a thread state of its own in each call has a threading.local of its own in each.
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

    def refuse(self, status, words, *said, **environment):
        done = run(*words, expect=status, env=self.environment(**environment))
        self.assertEqual("", done.stdout)
        for word in said:
            self.assertIn(word, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def check_script(self, script, expected, way="package"):
        self.check(expected, self.run_by(way, "-c", script))
