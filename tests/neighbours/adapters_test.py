"""This library's casters, guards and owners in a module of another binding, built for the Python under test.

usage: adapters_test.py NAME      pybind11 or nanobind
"""

import subprocess
import sys
import unittest

import extensions

SCRIPT = """
import ctypes, gc, sys, threading
sys.path.insert(0, {folder!r})
import adapters_{name} as module
library = ctypes.PyDLL({library!r})

class Watched:
    ended = []
    def __init__(self, name): self.name = name
    def __del__(self): Watched.ended.append((self.name, library.pyattach_is_attached()))

def count(thing):
    return sys.getrefcount(thing)

def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError(f"no {{kind}}")

# Free-threaded, Python leaves an object to the thread that made it.
def settle():
    library.pyattach_pool_drain()
    for _ in range(3): gc.collect()
"""


class AdaptersTest(unittest.TestCase):
    neighbour = "pybind11"

    @classmethod
    def setUpClass(cls):
        cls.folder = extensions.folder_of_python()
        try:
            extensions.Builder(cls.folder).build(f"{cls.neighbour}_adapters")
        except extensions.Missing as missing:
            raise unittest.SkipTest(f"{cls.neighbour}: {missing}")

    def python(self, script, printed=""):
        head = SCRIPT.format(folder=str(self.folder), name=self.neighbour, library=str(extensions.BUILD / "capi/libpyattach.so"))
        done = subprocess.run([extensions.PYTHON, "-c", head + script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="backslashreplace", timeout=120)
        self.assertEqual((printed, 0), (done.stdout, done.returncode))

    def test_an_owned_is_any_object_and_moves_in_and_out(self):
        self.python("""
thing = [1]
module.keep(thing)
assert module.is_kept(thing) and not module.is_kept([])
assert module.take() is thing
assert module.take() is None  # moved out
module.keep(None)
assert module.is_kept(None) and module.take() is None
before = count(thing)
for _ in range(100):
    module.keep(thing)
    module.take()
assert count(thing) == before, (count(thing), before)
""")

    def test_a_shared_owned_outlives_the_call_and_is_dropped_on_a_thread(self):
        self.python("""
module.put("a", Watched("a"))
module.put("b", module.get("a"))
assert module.get("b") is module.get("a") and module.get("c") is None
assert Watched.ended == []
module.drop_on_thread()
settle()
assert Watched.ended == [("a", 1)], Watched.ended
""")

    def test_a_struct_of_the_bindings_objects_dies_attached(self):
        self.python("""
thing = Watched("first")
module.keep_pair(thing, Watched("second"))
assert module.first_of_pair() is thing
del thing
module.drop_pairs_on_thread()
settle()
assert sorted(Watched.ended) == [("first", 1), ("second", 1)], Watched.ended
""")

    def test_objects_go_to_the_binding_and_back(self):
        self.python("""
thing = object()
before = count(thing)
assert module.there_and_back(thing) is thing
assert count(thing) == before
""")

    def test_the_call_guard_detaches(self):
        self.python("""
assert module.is_detached() is True
assert library.pyattach_is_attached() == 1
""")

    def test_a_callback_is_called_on_a_native_thread(self):
        self.python("""
assert module.call_on_thread(sum, [1, 2, 3]) == 6
assert module.call_on_thread(lambda numbers: len(numbers), list(range(100))) == 100
threads = [threading.Thread(target=lambda: [module.call_on_thread(max, [1, 5, 2]) for _ in range(50)]) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
def scaled(point, text): return module.point(10 * point.x, len(text))
assert module.call_throwing(scaled, module.point(2, 0)) == 80
""")

    def test_a_callback_is_passed_back_as_the_same_object(self):
        self.python("""
assert module.same(sum) is sum
assert module.same(None) is None
assert module.is_empty(None) and not module.is_empty(len)
raises(TypeError, module.same, 5)
text = module.same.__doc__ or ""
assert "Callable[[" in text and "list[int]" in text.lower() and "int]" in text, text
""")

    def test_errors_of_a_callback_go_to_the_policy(self):
        self.python("""
seen = []
sys.unraisablehook = lambda what: seen.append((type(what.exc_value), what.object))
def fails(numbers): raise OSError
assert module.call_on_thread(fails, []) == 0
assert module.call_on_thread(str, []) == 0  # its result is no int
assert seen[0] == (OSError, fails) and seen[1][1] is str, seen
sys.unraisablehook = sys.__unraisablehook__
def missing(point, text): return {}["of a callback"]
assert raises(KeyError, module.call_throwing_on_thread, missing).args == ("of a callback",)
assert raises(KeyError, module.call_throwing, missing, module.point(1, 2)).args == ("of a callback",)
raises(Exception, module.call_throwing, lambda point, text: "no point", module.point(1, 2))
assert raises(KeyError, module.raise_missing).args == ("missing",)
""")

    def test_what_is_kept_when_python_ends_is_leaked_without_a_crash(self):
        self.python("""
module.keep_function(lambda numbers: 1)
module.keep_pair(object(), object())
module.put("late", Watched("late"))
module.keep(object())
print("ends", flush=True)
""", "ends\n")

    def test_threads_that_call_back_when_python_ends_do_not_hold_it_up(self):
        self.python("""
for _ in range(4): module.call_until_the_end(sum)
print("ends", flush=True)
""", "ends\n")


if __name__ == "__main__":
    AdaptersTest.neighbour = sys.argv.pop(1)
    unittest.main(verbosity=2)
