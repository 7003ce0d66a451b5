"""Unmodified programs and modules, as they are and under pyattach-run: the results are equal, the threads keep their thread
states, and all end clean.

usage: routed_test.py NAME      nbdkit, fusepy, qt, ctypes, pybind11, cython or nanobind
"""

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import extensions
from extensions import BUILD, HERE, PYTHON, SOURCE, Missing, command, run

sys.path.insert(0, str(SOURCE / "tests/support"))
import nbd  # noqa: E402

ROUTED = HERE / "routed"
COUNTED = SOURCE / "tests/abi/consumers/relinked"
DEADLINE_S = 120
ENDS = 5
ROUTER = {"PYATTACH_PRELOAD_LIBRARY": str(BUILD / "capi/preload/libpyattach-preload.so")}
RUN = [str(BUILD / "run/pyattach-run")]


def outcome(*words, **environment):
    """Status and output of a command."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="backslashreplace", timeout=DEADLINE_S, env={**os.environ, **environment})
    return done.returncode, done.stdout


def has_module(name):
    return outcome(PYTHON, "-c", f"import {name}")[0] == 0


class Routed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not Path(RUN[0]).exists():
            raise unittest.SkipTest("pyattach-run is not built for this machine")
        cls.is_debug = run(PYTHON, "-c", "import sys; print(hasattr(sys, 'gettotalrefcount'))") == "True\n"
        cls.folder = Path(tempfile.mkdtemp(prefix="pyattach-routed-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)

    def check_equal(self, plain, routed):
        """Of what calls.py says."""
        plain, routed = json.loads(plain), json.loads(routed)
        self.assertEqual(plain["results"], routed["results"])
        self.assertIsNone(plain["stats"], "the plain run was routed, too")
        self.assertEqual({1}, set(plain["calls"]), "threads keep their thread states without this library")
        # Each thread begins with 1 and goes on from there: it kept its threading.local, and so its thread state.
        if not self.is_debug:  # where they are not kept
            self.assertEqual(routed["threads"], routed["calls"].count(1))
            self.assertGreater(max(routed["calls"]), 1)
            self.assertLess(routed["stats"]["states_created"], len(routed["calls"]))
        self.assertGreaterEqual(routed["stats"]["attaches"], len(routed["calls"]))

    def check_script(self, script, *words, end="end", **environment):
        """Runs a script of Python's both ways, and ends it under load."""
        command = [PYTHON, ROUTED / script]
        (status, plain), (routed_status, routed) = outcome(*command, "call", *words, **environment), outcome(
            *RUN, *command, "call", *words, **environment, **ROUTER)
        self.assertEqual((0, 0), (status, routed_status), plain + routed)
        self.check_equal(plain, routed)
        for _ in range(ENDS):
            self.assertEqual((0, ""), outcome(*RUN, *command, end, *words, **environment, **ROUTER))


class Modules(Routed):
    kind = "pybind11"

    def build(self):
        builder = extensions.Builder(extensions.folder_of_python())
        folder = builder.folder / f"routed_{self.kind}"
        folder.mkdir(exist_ok=True)
        suffix, flags, source = builder.python["suffix"], [], COUNTED / f"counted_{self.kind}.cpp"
        if self.kind == "pybind11":
            builder.require_pybind11()
        elif self.kind == "nanobind":
            if not (extensions.NANOBIND / "src/nb_combined.cpp").exists():
                raise Missing("nanobind is not here")
            source = ROUTED / "counted_nanobind.cpp"
            flags = [extensions.NANOBIND / "src/nb_combined.cpp", "-isystem", extensions.NANOBIND / "include", "-isystem",
                     extensions.NANOBIND / "ext/robin_map/include", "-fno-strict-aliasing"]
            flags += ["-DNB_FREE_THREADED=1"] * builder.python["is_free_threaded"]
        else:
            cython = shutil.which("cython3") or shutil.which("cython")
            if not cython:
                raise Missing("Cython is not here (on Debian: apt install cython3)")
            if " 0." in run(cython, "--version") and (builder.version > (3, 11) or builder.python["is_free_threaded"]):
                raise Missing("this Cython is older than this Python")
            shutil.copy(COUNTED / "counted.pyx", folder)
            run(cython, "--cplus", "-3", "counted.pyx", cwd=folder)
            source, flags = folder / "counted.cpp", ['-DCYTHON_EXTERN_C=extern "C"']
        digest = hashlib.sha256(source.read_bytes() + json.dumps(builder.python).encode()).hexdigest()
        stamp = folder / "stamp"
        if not stamp.exists() or stamp.read_text() != digest:
            run(*command("CXX", "c++"), "-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-w", "-isystem",
                builder.python["include"], source, *flags, "-o", folder / f"counted{suffix}", "-pthread")
            stamp.write_text(digest)
        return folder

    def test_an_unmodified_module_that_native_threads_call_from(self):
        try:
            folder = self.build()
        except Missing as missing:
            self.skipTest(f"{self.kind}: {missing}")
        self.check_script("module.py", PYTHONPATH=str(folder))


class Ctypes(Routed):
    def test_callbacks_on_native_threads(self):
        library = self.folder / "libcaller.so"
        run(*command("CC", "cc"), "-std=c99", "-O1", "-shared", "-fPIC", ROUTED / "caller.c", "-o", library, "-pthread")
        self.check_script("callbacks.py", library)


class Qt(Routed):
    def test_runnables_on_a_thread_of_qts_pool(self):
        if not has_module("PyQt5.QtCore"):
            self.skipTest("PyQt5 is not here")
        self.check_script("runnables.py")


class Fusepy(Routed):
    def serve(self, *prefix, **environment):
        """What the file system's calls were, when its daemon has ended."""
        place, result = Path(tempfile.mkdtemp(dir=self.folder)), self.folder / "result"
        ctypes.CDLL(None).prctl(nbd.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the daemon's parent ends: this process waits for it
        # Debug builds of Python show what fusepy itself ought to do in another way.
        status, said = outcome(*prefix, PYTHON, "-W", "ignore::DeprecationWarning", ROUTED / "fs.py", place, result, **environment)
        self.assertEqual((0, ""), (status, said))
        try:
            # The parent ends before the file system is mounted.
            while not os.path.ismount(place):
                if os.waitpid(-1, os.WNOHANG)[0]:
                    self.skipTest("no file system can be mounted here")
            # In a process of its own, because a file system that hangs is waited for without a limit.
            numbers = [outcome("cat", place / f"number-{number}") for number in range(40)]
        finally:
            outcome("fusermount", "-u", "-z", place)
        status = os.waitpid(-1, 0)[1]
        self.assertEqual(([(0, str(number * number)) for number in range(40)], 0), (numbers, status))
        return result.read_text()

    def test_a_file_system_that_becomes_a_daemon(self):
        if not os.path.exists("/dev/fuse") or not shutil.which("fusermount"):
            self.skipTest("there is no FUSE here")
        if not has_module("fusepy") and not has_module("fuse.FUSE"):
            self.skipTest("fusepy is not here")
        self.check_equal(self.serve(), self.serve(*RUN, **ROUTER))


class Nbdkit(Routed):
    def serve(self, source, **router):
        result, copy = self.folder / "result", self.folder / "copy"
        with nbd.Server(self.folder, "python", ROUTED / "disk.py", f"path={ROUTED}", f"result={result}", **router) as server:
            run("nbdcopy", source, server.uri())
            run("nbdcopy", server.uri(), copy)
            self.assertEqual(0, nbd.stop_under_load(server), server.said())
        self.assertEqual(source.read_bytes(), copy.read_bytes())
        return json.loads(result.read_text())

    def test_debians_nbdkit_with_its_python_plugin(self):
        if nbd.missing() or not nbd.has_python_plugin():
            self.skipTest("nbdkit is not here (on Debian: apt install nbdkit libnbd-bin nbdkit-plugin-python)")
        if run(PYTHON, "-c", "import sys; print(sys.base_prefix)") != "/usr\n":
            self.skipTest("NBDKIT'S PLUGIN HAS A PYTHON OF ITS OWN, the system's")
        source = self.folder / "source"
        source.write_bytes(os.urandom(1 << 20))
        plain, routed = self.serve(source), self.serve(source, prefix=RUN, **ROUTER)
        for each in plain, routed:
            each["results"] = []  # how many requests there were under load is chance
        self.check_equal(json.dumps(plain), json.dumps(routed))


CASES = {"nbdkit": Nbdkit, "fusepy": Fusepy, "qt": Qt, "ctypes": Ctypes, "pybind11": Modules, "cython": Modules, "nanobind": Modules}

if __name__ == "__main__":
    Modules.kind = sys.argv.pop(1)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(CASES[Modules.kind])
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
