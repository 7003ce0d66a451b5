"""Unmodified programs with a trace, which is written when their process ends: pyattach-trace and the variables.

usage: trace_command_test.py [unittest's words]
"""

import os
import shutil
import signal
import unittest
from pathlib import Path

from consumers import PYTHON, command, libpython, python_headers, run
from preloaded import HERE
from relinked_test import RELINKED, pybind11_refusal
from traced import CALL, CALLED, Trace, Traced, asked

WAYS = ("pyattach-trace", "LD_PRELOAD")


class Lanes(Traced):
    """Native threads of code that knows nothing of this library have lanes."""

    def test_an_extension_module(self):
        for way in WAYS:
            with self.subTest(way=way):
                path = self.into / f"{way}.json"
                self.check("", self.trace_by(way, path, "-c", CALL))
                self.check_lane(Trace(path), CALLED)

    def test_an_extension_module_with_pybind11(self):
        refusal = pybind11_refusal()
        if refusal:
            self.skipTest(refusal)
        include, suffix = python_headers()
        modules = self.folder / "pybind11"
        modules.mkdir()
        run(*command("CXX", "c++"), "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden", "-isystem", include,
            RELINKED / "counted_pybind11.cpp", "-o", modules / f"counted{suffix}", "-pthread")
        path = self.into / "trace.json"
        self.check("", self.trace_by("pyattach-trace", path, "-c", CALL, PYTHONPATH=str(modules)))
        # A gap ends the scope there, because pybind11 has attached with a thread state of its own. With a debug build it
        # attaches once more for each call, to make that.
        states = Trace(path).states()
        self.assertEqual(1, sum(of_thread.count("attached") >= 6 for of_thread in states), states)

    def test_a_callback_of_ctypes(self):
        library, path = self.folder / "called.so", self.into / "trace.json"
        run(*command("CC", "cc"), "-shared", "-fPIC", HERE / "preloaded/called.c", "-o", library, "-pthread")
        self.check("[1, 1, 1]\n", self.trace_by("pyattach-trace", path, "-c", f"""
import ctypes
seen = []
callback = ctypes.CFUNCTYPE(None)(lambda: seen.append(1))
assert ctypes.CDLL({str(library)!r}).call_on_thread(callback, 3) == 0
print(seen)
"""))
        self.check_lane(Trace(path), ["attached"] * 3)

    def test_a_program_that_ends_python_in_exit(self):
        program, environment = self.build_program("at_exit")
        path = self.into / "trace.json"
        self.check("", run(self.tracer, "-o", path, program, env=environment, expect=5))
        trace = Trace(path)
        self.assertIn(["attached"] * 2, trace.states())
        self.assertIn("gate: ended", trace.marks)

    def test_a_program_that_returns_from_main(self):
        plugin, program = self.folder / "plugin.so", self.folder / "program"
        _, environment = self.build_program("at_exit")
        run(*command("CC", "cc"), "-shared", "-fPIC", "-isystem", python_headers()[0], HERE / "preloaded/plugin.c", "-o",
            plugin, libpython(), f"-Wl,-rpath,{Path(libpython()).parent}", "-pthread")
        run(*command("CC", "cc"), HERE / "preloaded/program.c", "-o", program, "-ldl")
        path = self.into / "trace.json"
        run(self.tracer, "-o", path, program, plugin, env=environment)
        trace = Trace(path)
        self.assertIn(["attached"] * 3, trace.states())
        self.assertIn("gate: ended", trace.marks)

    def test_patterns_and_lines_are_those_of_pyattach_run(self):
        path = self.into / "trace.json"
        done = self.trace_by("pyattach-trace", path, "-c", CALL, options=["--except", "counted*", "--verbose"])
        self.assertIn(f"the trace is written to {path}\n", done.stderr)
        self.assertIn("CPython is in /", done.stderr)
        self.assertNotIn(f"routed {self.counted}", done.stderr)
        self.assertNotIn(CALLED, Trace(path).states())


class Files(Traced):
    """Where it is written, in which format, and when."""

    def test_the_format_is_that_of_the_name_or_of_the_option(self):
        begins = {"chrome": b"{", "html": b"<!doctype html>", "perfetto": b"\n"}
        for name, options, format in (("a.json", [], "chrome"), ("a.pftrace", [], "perfetto"), ("a.perfetto", [], "perfetto"),
                                      ("a.html", [], "html"), ("b", ["--format", "html"], "html"),
                                      ("c.html", ["--format=chrome"], "chrome"), ("d", ["--format=perfetto"], "perfetto")):
            with self.subTest(name=name):
                path = self.into / name
                self.check("", self.trace_by("pyattach-trace", path, "-c", CALL, options=options))
                written = path.read_bytes()
                self.assertEqual(begins[format], written[:len(begins[format])].lower())
                if format == "perfetto":
                    self.assertIn(b"attached for the first time", written)
                else:
                    self.check_lane(Trace(path), CALLED)
        path = self.into / "e"
        self.check("", self.trace_by("LD_PRELOAD", path, "-c", CALL, PYATTACH_RUN_TRACE_FORMAT="html"))
        self.check_lane(Trace(path), CALLED)

    def test_the_program_may_be_elsewhere_by_then(self):
        os.symlink(self.into, self.into / "link")
        words = [self.tracer, "--output=link/trace.json", "--", PYTHON, "-c", CALL + "; import os; os.chdir('/'); print('there')"]
        self.check("there\n", run(*words, cwd=self.into, env=self.environment()))
        self.check_lane(Trace(self.into / "trace.json"), CALLED)

    def test_an_exit_status_stays(self):
        path = self.into / "trace.json"
        self.trace_by("pyattach-trace", path, "-c", CALL + "; raise SystemExit(7)", expect=7)
        self.check_lane(Trace(path), CALLED)

    def test_a_process_that_is_ended_writes_nothing(self):
        for how, status in (("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM)):
            with self.subTest(how=how):
                path = self.into / "trace.json"
                self.trace_by("pyattach-trace", path, "-c", f"{CALL}; import os, signal; {how}", expect=status)
                self.assertFalse(path.exists())

    def test_a_signal_has_it_written(self):
        for name, number in (("USR1", signal.SIGUSR1), ("SIGUSR2", signal.SIGUSR2), (str(int(signal.SIGUSR1)), signal.SIGUSR1),
                             (str(int(signal.SIGRTMIN)), signal.SIGRTMIN)):
            with self.subTest(name=name):
                path = self.into / "trace.json"
                self.check("", self.trace_by("pyattach-trace", path, "-c", asked(path, number), options=["--signal", name], expect=7))
                self.check_lane(Trace(path), CALLED)
                path.unlink()
        path = self.into / "trace.json"
        self.check("", self.trace_by("LD_PRELOAD", path, "-c", asked(path, signal.SIGUSR1), PYATTACH_RUN_TRACE_SIGNAL="USR1", expect=7))
        self.check_lane(Trace(path), CALLED)

    def test_at_the_end_it_is_written_anew(self):
        path, first = self.into / "trace.json", self.into / "first.json"
        script = asked(path, signal.SIGUSR1).replace("os._exit(7)", f"os.rename({str(path)!r}, {str(first)!r}); counted.call(lambda: None, 1)")
        self.check("", self.trace_by("pyattach-trace", path, "-c", script, options=["--signal=USR1"]))
        self.assertEqual(1, Trace(first).states().count(CALLED))
        self.assertNotIn("gate: ended", Trace(first).marks)
        trace = Trace(path)
        self.check_lane(trace, CALLED)
        self.check_lane(trace, CALLED[:3])
        self.assertIn("gate: ended", trace.marks)

    def test_a_signal_that_is_not_given_is_the_programs(self):
        path = self.into / "trace.json"
        self.trace_by("pyattach-trace", path, "-c", asked(path, signal.SIGUSR1), options=["--signal", "USR2"],
                      expect=-signal.SIGUSR1)
        self.assertFalse(path.exists())

    def test_before_an_abort_it_is_written(self):
        path = self.into / "trace.json"
        done = self.trace_by("pyattach-trace", path, "-c", f"""
{CALL}
import ctypes
ctypes.PyDLL({str(self.tree.libraries / "libpyattach.so")!r}).pyattach_attached_end(ctypes.create_string_buffer(1024))
""", expect=-signal.SIGABRT)
        self.assertIn("pyattach", done.stderr)
        self.check_lane(Trace(path), CALLED)

    def test_a_program_that_stops_the_trace_itself(self):
        path = self.into / "trace.json"
        done = self.trace_by("pyattach-trace", path, "-c", f"""
import ctypes
library = ctypes.PyDLL({str(self.tree.libraries / "libpyattach.so")!r})
print(library.pyattach_trace_start(None) != 0)
{CALL}
print(library.pyattach_trace_stop())
{CALL}
""", options=["--verbose"])
        self.assertEqual("True\n0\n", done.stdout)
        self.assertIn(f"written to {path}, up to where the program has stopped it\n", done.stderr)
        self.check_lane(Trace(path), CALLED)

    def test_a_file_that_cannot_be_written_at_the_end(self):
        folder = self.into / "removed"
        folder.mkdir()
        done = self.trace_by("pyattach-trace", folder / "trace.json", "-c", f"import os; os.rmdir({str(folder)!r}); exit(4)", expect=4)
        self.assertIn(f"the trace cannot be written to {folder}/trace.json: No such file or directory\n", done.stderr)


class Processes(Traced):
    """Which processes write one."""

    FORKS = CALL + """
import os, sys, warnings
warnings.simplefilter("ignore") # of a fork beside threads
if not os.fork():
    assert counted.call(lambda: None, 1) == 0
    sys.exit(0)
os.wait()
"""

    def test_a_file_is_written_by_one_process_alone(self):
        path = self.into / "trace.json"
        self.check("", self.trace_by("pyattach-trace", path, "-c", self.FORKS + f"""
import subprocess
assert subprocess.run([sys.executable, "-c", "pass"]).returncode == 0
print(os.getpid(), file=open({str(self.into / "process")!r}, "w"))
"""))
        self.assertEqual(["process", "trace.json"], sorted(os.listdir(self.into)))
        trace = Trace(path)
        self.check_lane(trace, CALLED)
        self.assertNotIn("forked", trace.marks)
        self.assertIn(int((self.into / "process").read_text()), trace.threads.values())

    def test_with_the_number_in_its_name_each_process_writes_one(self):
        path = self.into / "trace-%p.json"
        self.check("", self.trace_by("pyattach-trace", path, "-c", self.FORKS + f"""
import subprocess
assert subprocess.run(["sh", "-c", sys.executable + " -c '{CALL}'; true"]).returncode == 0
"""))
        traces = {name: Trace(self.into / name) for name in os.listdir(self.into)}
        # The parent, the fork child, and the Python that the shell has started; the shell has no Python.
        self.assertEqual(3, len(traces), traces.keys())
        self.assertEqual(1, sum("forked" in trace.marks for trace in traces.values()))
        self.assertEqual(2, sum(CALLED in trace.states() for trace in traces.values()))
        for name, trace in traces.items():
            self.assertIn(int(name[len("trace-"):-len(".json")]), trace.threads.values())

    def test_a_program_that_becomes_another_one(self):
        path = self.into / "trace.json"
        self.check("", run(self.tracer, "-o", path, "sh", "-c", 'exec "$0" "$@"', self.runner, PYTHON, "-c", CALL,
                           env=self.environment()))
        self.check_lane(Trace(path), CALLED)

    def test_a_process_without_python_says_so(self):
        path = self.into / "trace.json"
        done = run(self.tracer, "-o", path, "false", expect=1, env=self.environment())
        self.assertIn("there was no Python in this process", done.stderr)
        self.assertIn("%p", done.stderr)
        self.assertEqual({}, Trace(path).threads)


class Refused(Traced):
    def refuse_file(self, words, *said):
        """The sentence comes before the program begins."""
        self.refuse(2, [self.tracer, *words, "echo", "begun"], *said)

    def test_it_says_what_is_wrong(self):
        self.refuse_file([], "the file of the trace is missing", "-o FILE", "--help")
        self.refuse_file(["-o", ""], "the name of the trace's file is empty")
        self.refuse_file(["-o", "trace.txt"], "trace.txt: ", ".json", ".pftrace", ".perfetto", ".html", "--format")
        self.refuse_file(["-o", "trace"], ".json", ".pftrace", ".perfetto", ".html")
        self.refuse_file(["-o", "trace.json", "--format", "text"], "there is no format text", "chrome, perfetto and html")
        self.refuse_file(["-o", "/no/such/folder/trace.json"], "/no/such/folder/trace.json: No such file or directory")
        for name in ("KILL", "SIGSEGV", "usr1", "USR", "9", "11", "0", "9999", "10x", "-1", ""):
            self.refuse_file(["-o", "trace.json", f"--signal={name}"], f"there is no signal {name} that", "USR1")
        (self.into / "folder.json").mkdir()
        self.refuse_file(["-o", self.into / "folder.json"], "folder.json: Is a directory")
        self.refuse_file(["-o", "x" * 5000 + ".json"], "File name too long")
        self.refuse_file(["--wrong"], "there is no option --wrong", "--help")
        for option in ("-o", "--output", "--format", "--signal"):
            self.refuse(2, [self.tracer, option], f"{option} needs a ", "--help")
        self.refuse(2, [self.tracer, "-o", "trace.json"], "the program is missing", "--help")
        self.assertEqual([], [path for path in Path(self.folder).glob("*trace*") if path != self.into])

    def test_a_file_that_must_not_be_written(self):
        if os.geteuid() == 0:
            self.skipTest("root may write every file")
        path = self.into / "trace.json"
        path.touch(0o444)
        self.refuse_file(["-o", path], "Permission denied")
        self.into.chmod(0o555)
        self.refuse_file(["-o", self.into / "new.json"], "Permission denied")
        self.into.chmod(0o755)

    def test_a_program_that_cannot_be_run(self):
        path = self.into / "trace.json"
        self.refuse(127, [self.tracer, "-o", path, "no-such-program"], "pyattach-trace: no-such-program: No such file")
        self.refuse(127, [self.tracer, "-o", path, "/no/such/program"], "/no/such/program: No such file")
        self.refuse(126, [self.tracer, "-o", path, self.counted.parent], "Permission denied")
        self.assertFalse(path.exists())

    def test_a_library_of_another_version(self):
        other = self.folder / "libother.so"
        run(*command("CC", "cc"), "-shared", "-fPIC", HERE / "preloaded/called.c", "-o", other, "-pthread")
        self.refuse(2, [self.tracer, "-o", self.into / "trace.json", "echo"], str(other), "of another version than this command",
                    PYATTACH_PRELOAD_LIBRARY=str(other))

    def test_variables_that_are_wrong(self):
        done = self.trace_by("LD_PRELOAD", self.into / "trace.txt", "-c", CALL)
        self.assertIn("there is no trace (PYATTACH_RUN_TRACE)", done.stderr)
        self.assertIn(".pftrace", done.stderr)
        done = self.trace_by("LD_PRELOAD", self.into / "trace.html", "-c", CALL, PYATTACH_RUN_TRACE_SIGNAL="KILL")
        self.assertIn("there is no trace (PYATTACH_RUN_TRACE): there is no signal KILL", done.stderr)
        self.assertEqual([], os.listdir(self.into))

    def test_help_and_version(self):
        for option in ("--help", "-h"):
            shown = run(self.tracer, option).stdout
            for word in ("usage: pyattach-trace -o FILE", "--format", "--signal", "--only", "--except", "--verbose", "%p"):
                self.assertIn(word, shown)
        self.assertTrue(run(self.tracer, "--version").stdout.startswith("pyattach-trace "))


if __name__ == "__main__":
    unittest.main(verbosity=2)
