"""Other libraries' guards beside this library's scopes, in extension modules that are built for the Python under test.

usage: extensions_test.py NAME      pybind11, nanobind, cython or pyo3
"""

import subprocess
import sys
import unittest

import extensions

SCRIPT = """
import ctypes, sys, threading
sys.path.insert(0, {folder!r})
import {module} as neighbour
library = ctypes.CDLL({library!r})

class Stats(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + [(name, ctypes.c_uint64) for name in (
        "attaches nested refused detaches states_created states_adopted states_dead states_deleted drops_now drops_queued "
        "drops_released drops_leaked").split()]

def stats():
    now = Stats(size=ctypes.sizeof(Stats))
    library.pyattach_stats_get(ctypes.byref(now))
    return now

# Of CPython's own list, whoever made them. Nobody comes or goes meanwhile.
api = ctypes.pythonapi
for function in (api.PyInterpreterState_Main, api.PyInterpreterState_ThreadHead, api.PyThreadState_Next):
    function.restype = ctypes.c_void_p
def states():
    count, state = 0, api.PyInterpreterState_ThreadHead(ctypes.c_void_p(api.PyInterpreterState_Main()))
    while state:
        count, state = count + 1, api.PyThreadState_Next(ctypes.c_void_p(state))
    return count - stats().states_dead

library.pyattach_is_attached.restype = ctypes.c_int
def check_attached():
    attached = ctypes.PyDLL({library!r})
    assert attached.pyattach_is_attached() == 1
    assert library.pyattach_is_attached() == 0  # ctypes detached the thread for the call

names = neighbour.names().split()
"""


class ExtensionTest(unittest.TestCase):
    neighbour = "pybind11"

    @classmethod
    def setUpClass(cls):
        cls.folder = extensions.folder_of_python()
        try:
            extensions.Builder(cls.folder).build(cls.neighbour)
        except extensions.Missing as missing:
            raise unittest.SkipTest(f"{cls.neighbour}: {missing}")

    def python(self, script):
        head = SCRIPT.format(folder=str(self.folder), module=f"beside_{self.neighbour}",
                             library=str(extensions.BUILD / "capi/libpyattach.so"))
        done = subprocess.run([extensions.PYTHON, "-c", head + script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="backslashreplace", timeout=120)
        self.assertEqual(("", 0), (done.stdout, done.returncode))

    def test_on_pythons_main_thread(self):
        self.python("for name in names * 3: neighbour.run(name); check_attached()")

    def test_on_native_threads_that_either_attached(self):
        self.python("""
before = states()
for name in names:
    for first in ("ours", "theirs"):
        neighbour.run_on_thread(name, first, 3)
        check_attached()
assert states() == before, (states(), before)
""")

    def test_on_eight_threads_at_once(self):
        self.python("""
before, failed = states(), []
def work(number):
    try:
        for name in names:
            neighbour.run(name)
            neighbour.run_on_thread(name, ("ours", "theirs")[number % 2], 10)
    except BaseException as error:
        failed.append(error)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for one in threads: one.start()
for one in threads: one.join()
assert not failed, failed
# Python's own threads may be joined some instructions before their states are deleted.
for _ in range(1000000):
    if states() == before: break
assert states() == before, (states(), before)
""")

    def test_references_dropped_by_either_are_released(self):
        self.python("""
for name in names: neighbour.run_on_thread(name, "ours", 1)
ctypes.PyDLL({library!r}).pyattach_pool_drain()
now = stats()
assert now.drops_leaked == 0 and now.drops_queued == now.drops_released, (now.drops_queued, now.drops_released)
""".format(library=str(extensions.BUILD / "capi/libpyattach.so")))

    def test_exit_with_a_thread_that_both_keep_warm(self):
        self.python("neighbour.leave_thread_behind(); neighbour.leave_thread_behind()")


if __name__ == "__main__":
    ExtensionTest.neighbour = sys.argv.pop(1)
    unittest.main(verbosity=2)
