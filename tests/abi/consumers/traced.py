"""Unmodified programs with a trace: what their tests share."""

import json
import shutil
from pathlib import Path

from consumers import PYTHON, command, libpython, python_headers, run
from preloaded import HERE, Preloaded

CALL = "import counted; assert counted.call(lambda: None, 3) == 0"
# What the native thread does in it: each of the three calls attaches, detaches, and attaches again.
CALLED = ["attached", "detached", "attached"] * 3

# Asks for the trace by the signal of this number, waits until a file is complete, and ends without an end.
ASKED = CALL + """
import json, os, signal, sys, time
def is_complete(path):
    try:
        with open(path) as file:
            return bool(json.load(file))
    except (FileNotFoundError, ValueError):
        return False
os.kill(os.getpid(), NUMBER)
while not is_complete(PATH): # the test's deadline ends this
    time.sleep(0.01)
os._exit(7)
"""


def asked(path, number):
    return ASKED.replace("NUMBER", str(int(number))).replace("PATH", repr(str(path)))


class Trace:
    """A trace that was written as JSON, or as a page, which has the same in it."""

    def __init__(self, path):
        text = path.read_text(encoding="utf-8")
        written, _ = json.JSONDecoder().raw_decode(text, text.index('{"displayTimeUnit"'))
        events = written["traceEvents"]
        self.threads = {event["tid"]: event["args"]["native_id"] for event in events
                        if event["name"] == "thread_name" and event["args"]["kind"] == "thread"}
        self.slices = [event for event in events if event["ph"] == "X" and event["tid"] in self.threads]
        self.marks = [event["name"] for event in events if event["ph"] == "i"]

    def states(self):
        """The states of each thread but the waits, in their order."""
        return [[event["cat"] for event in sorted(self.slices, key=lambda event: event["ts"])
                 if event["tid"] == thread and event["cat"] in ("attached", "detached")] for thread in self.threads]


class Traced(Preloaded):
    """Runs programs with a trace."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tracer = cls.tree.prefix / "bin/pyattach-trace"

    def setUp(self):
        self.into = self.folder / "traces"
        self.into.mkdir()
        self.addCleanup(shutil.rmtree, self.into)

    def trace_by(self, way, path, *words, options=(), expect=0, **environment):
        """Runs Python with these words and a trace, in one of the ways."""
        if way == "pyattach-trace":
            words = [self.tracer, "-o", path, *options, PYTHON, *words]
        else:
            words = [PYTHON, *words]
            environment = {"LD_PRELOAD": str(self.library), "PYATTACH_RUN_TRACE": str(path), **environment}
        return run(*words, expect=expect, env=self.environment(**environment), cwd=self.folder)

    def check_lane(self, trace, states):
        """One thread has these states, and another one waited for it."""
        self.assertIn(states, trace.states())
        self.assertGreater(len(set(trace.threads.values())), 1)

    def build_program(self, name):
        """A program that embeds Python, and its environment."""
        program = self.folder / name
        run(*command("CC", "cc"), "-isystem", python_headers()[0], HERE / f"preloaded/{name}.c", "-o", program, libpython(),
            f"-Wl,-rpath,{Path(libpython()).parent}", "-pthread")
        home = run(PYTHON, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
        return program, self.environment(PYTHONHOME=home)
