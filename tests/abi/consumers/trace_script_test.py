"""Python scripts with a trace: `python3 -m pyattach --trace`, and pyattach.trace() in a script.

usage: trace_script_test.py [unittest's words]
"""

import os
import signal
import unittest

from consumers import PYTHON, command, run
from preloaded import HERE
from traced import CALL, CALLED, Trace, Traced, asked


class Scripts(Traced):
    def trace_script(self, path, *words, options=(), **more):
        return self.run_by("package", *words, options=["--trace", path, *options], **more)

    def test_an_extension_module(self):
        path = self.into / "trace.json"
        self.check("", self.trace_script(path, "-c", CALL))
        trace = Trace(path)
        self.check_lane(trace, CALLED)
        self.assertIn("gate: ended", trace.marks)

    def test_a_callback_of_ctypes(self):
        library, path = self.folder / "called.so", self.into / "trace.json"
        run(*command("CC", "cc"), "-shared", "-fPIC", HERE / "preloaded/called.c", "-o", library, "-pthread")
        script = self.into / "script.py"
        script.write_text(f"""
import ctypes, sys
seen = []
callback = ctypes.CFUNCTYPE(None)(lambda: seen.append(1))
assert ctypes.CDLL({str(library)!r}).call_on_thread(callback, 3) == 0
print(seen, sys.argv[1:])
""")
        self.check("[1, 1, 1] ['--trace', 'x']\n", self.trace_script(path, script, "--trace", "x"))
        self.check_lane(Trace(path), ["attached"] * 3)

    def test_the_format_is_that_of_the_name_or_of_the_option(self):
        for name, options in (("a.html", []), ("b", ["--format", "html"]), ("c.json", ["--format=chrome"])):
            with self.subTest(name=name):
                self.check("", self.trace_script(self.into / name, "-c", CALL, options=options))
                self.check_lane(Trace(self.into / name), CALLED)
        path = self.into / "d.perfetto"
        self.check("", self.trace_script(path, "-c", CALL))
        self.assertIn(b"attached for the first time", path.read_bytes())

    def test_with_the_other_options(self):
        path = self.into / "trace.json"
        done = self.trace_script(path, "-c", CALL, options=["--except", "counted*", "--verbose"])
        self.assertIn(f"the trace is written to {path}\n", done.stderr)
        self.assertNotIn(CALLED, Trace(path).states())

    def test_how_the_script_ends(self):
        for end, status in (("raise SystemExit(7)", 7), ("1/0", 1), ("import atexit; atexit.register(counted.call, lambda: None, 1)", 0)):
            with self.subTest(end=end):
                path = self.into / "trace.json"
                self.trace_script(path, "-c", f"{CALL}; {end}", expect=status)
                self.check_lane(Trace(path), CALLED)
                path.unlink()
        for end, status in (("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)):
            with self.subTest(end=end):
                self.trace_script(self.into / "trace.json", "-c", f"{CALL}; import os; {end}", expect=status)
                self.assertEqual([], os.listdir(self.into))

    def test_a_signal_has_it_written(self):
        path = self.into / "trace.json"
        self.check("", self.trace_script(path, "-c", asked(path, signal.SIGUSR1), options=["--signal", "USR1"], expect=7))
        self.check_lane(Trace(path), CALLED)
        for given in ("'USR1'", "signal.SIGUSR1", "int(signal.SIGUSR1)"):
            with self.subTest(given=given):
                path.unlink()
                begin = f"import pyattach, signal; pyattach.trace({str(path)!r}, signal={given}); pyattach.route(); "
                self.check("", self.run_by(None, "-c", begin + asked(path, signal.SIGUSR1), expect=7))
                self.check_lane(Trace(path), CALLED)

    def test_fork_children(self):
        script = CALL + """
import os, sys, warnings
warnings.simplefilter("ignore") # of a fork beside threads
if not os.fork():
    assert counted.call(lambda: None, 1) == 0
    sys.exit(0)
os.wait()
"""
        self.check("", self.trace_script(self.into / "trace.json", "-c", script))
        self.check_lane(Trace(self.into / "trace.json"), CALLED)
        self.assertEqual(1, len(os.listdir(self.into)))
        (self.into / "trace.json").unlink()
        self.check("", self.trace_script(self.into / "%p.json", "-c", script))
        traces = [Trace(self.into / name) for name in os.listdir(self.into)]
        self.assertEqual([False, True], sorted("forked" in trace.marks for trace in traces))

    def test_in_a_script(self):
        path = self.into / "trace.json"
        self.check("no trace by the import\nTraceError\n", self.run_by(None, "-c", f"""
import pathlib, pyattach
print("no trace by the import")
pyattach.trace(pathlib.Path({str(path)!r}))
try:
    pyattach.trace({str(self.into / "other.html")!r}, format="html")
except pyattach.TraceError as error:
    assert "records already" in str(error), error
    print(type(error).__name__)
pyattach.route()
{CALL}
"""))
        self.check_lane(Trace(path), CALLED)
        self.assertEqual(["trace.json"], os.listdir(self.into))


class Refused(Traced):
    def refuse_options(self, words, *said):
        self.refuse(2, [PYTHON, "-m", "pyattach", *words], *said)

    def test_the_command_says_what_is_wrong(self):
        begun = ["-c", "print('begun')"]
        self.refuse_options(["--trace", "", *begun], "the name of the trace's file is empty")
        self.refuse_options(["--trace", "a.txt", *begun], "a.txt: ", ".json", ".pftrace", ".perfetto", ".html", "--format")
        self.refuse_options(["--trace=a.json", "--format=text", *begun], "there is no format text", "chrome, perfetto and html")
        self.refuse_options(["--trace", "/no/such/folder/a.json", *begun], "/no/such/folder/a.json: No such file or directory")
        self.refuse_options(["--format", "html", *begun], "--format is for a trace", "--trace")
        self.refuse_options(["--signal", "USR1", *begun], "--signal is for a trace", "--trace")
        self.refuse_options(["--trace", "a.json", "--signal", "KILL", *begun], "there is no signal KILL", "USR1")
        self.refuse_options(["--trace", "a.json", "--signal"], "--signal needs a signal")
        self.refuse_options(["--trace"], "--trace needs a file", "--help")
        self.refuse_options(["--trace", "a.json", "--format"], "--format needs a format")
        self.refuse_options(["--trace", "a.json"], "the script is missing")

    def test_a_script_sees_an_exception(self):
        self.check("ValueError\n" * 7, self.run_by(None, "-c", """
import pyattach
for words in (["a.txt"], [""], ["a\\0.json"], ["a.json", "text"], ["a.json", None, "KILL"], ["a.json", None, 9], ["/no/such/folder/a.json"]):
    try:
        pyattach.trace(*words)
    except ValueError as error:
        print(type(error).__name__)
"""))
        self.assertEqual([], list(self.folder.glob("a*")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
