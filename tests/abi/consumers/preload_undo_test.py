"""Routing at run time is undone, and done again, also while calls are under way.

usage: preload_undo_test.py [unittest's words]
"""

import unittest

from preloaded import HERE, WARM_HERE, WAYS, Preloaded
from relinked_test import is_debug


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
        script = f"""
import counted, ctypes, pyattach
# Whether a gap that was begun in the library is open on this thread, which is attached.
is_open = ctypes.PyDLL({str(self.tree.libraries / "libpyattach.so.0")!r}).pyattach_gilstate_is_open
current = ctypes.pythonapi.PyThreadState_Get
is_open.argtypes, current.restype = [ctypes.c_void_p], ctypes.c_void_p
counts = []
def function():
    counts.append(1)
    if len(counts) == 3:
        pyattach.unroute()
assert counted.call(function, 6) == 0
assert not is_open(current())
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
assert not is_open(current())
print("end")
"""
        for way in WAYS:
            with self.subTest(way=way):
                self.check("12\n6\nend\n", self.run_by(way, "-c", script))

    def test_routing_is_done_and_undone_while_threads_call(self):
        """So that each call of a pair may be routed and the other one not."""
        if is_debug():
            self.skipTest("ON A DEBUG BUILD OF PYTHON AN ENSURE OF BEFORE IS NOT TOLD FROM ONE SINCE (docs/adopt.md)")
        self.check_script("""
import counted, pyattach, threading
pyattach.unroute()
counts, called = [0, 0], threading.Event()
def native():
    counts[0] += 1
    called.set()
def python():
    for _ in range(30):
        assert counted.call(lambda: counts.append(1), 3) == 0
for _ in range(3):
    counted.leave_behind(native)
threads = [threading.Thread(target=python) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(100):
    for change in (pyattach.route, pyattach.unroute):
        change()
        called.clear()
        called.wait()
for thread in threads:
    thread.join()
pyattach.route()
print(counts[0] > 0, len(counts))
""", "True 182\n")

    def test_a_python_thread_ends_whose_gap_was_begun_before(self):
        self.check("True\n", self.run_by(None, "-c", """
import counted, pyattach, threading
thread = threading.Thread(target=lambda: counted.call(pyattach.route, 1))
thread.start()
thread.join()
print(len(pyattach.routed()) > 0)
"""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
