"""What a user of the Cython extension module `primes` sees."""

from consumers import cython, needed

OF_100 = [n for n in range(2, 100) if all(n % divisor for divisor in range(2, n))]


class PrimesTests:
    def primes(self, script, *words):
        """What a script that uses the module says."""
        if isinstance(cython(), str):
            self.skipTest(cython())
        done = self.python(script, *words)
        self.assertEqual("", done.stderr)
        return done.stdout

    def test_primes_does_not_link_libpython(self):
        self.primes("import primes")
        self.assertEqual(["libpyattach.so.0"], [name for name in needed(self.module("primes")) if "py" in name])

    def test_primes_calls_back_on_native_threads_with_each_prime(self):
        self.assertEqual(f"{OF_100} True\n", self.primes("""
import primes, threading
found, here = [], []
def callback(prime):
    found.append(prime)
    here.append(threading.current_thread() is threading.main_thread())
primes.Search(callback, -3, 100).wait()
print(found, not any(here))
"""))

    def test_primes_runs_searches_side_by_side(self):
        self.assertEqual(f"{[OF_100] * 50}\n", self.primes("""
import primes
found = [[] for _ in range(50)]
searches = [primes.Search(it.append, 0, 100) for it in found]
for search in searches:
    search.wait()
print(found)
"""))

    def test_primes_reports_what_a_callback_raises_and_goes_on(self):
        self.assertEqual("[2, 3, 5] ['ZeroDivisionError', 'ZeroDivisionError', 'ZeroDivisionError']\n", self.primes("""
import primes, sys
found, raised = [], []
sys.unraisablehook = lambda it: raised.append(it.exc_type.__name__)
def callback(prime):
    found.append(prime)
    1 / 0
primes.Search(callback, 0, 6).wait()
print(found, raised)
"""))

    def test_primes_refuses_what_cannot_be_called_and_a_callback_that_waits(self):
        self.assertEqual("the callback must be callable, not 5\na callback cannot wait for a search\n", self.primes("""
import primes
try:
    primes.Search(5, 0, 1)
except TypeError as error:
    print(error)
def callback(prime):
    try:
        search.wait()
    except RuntimeError as error:
        print(error)
search = None
first = primes.Search(lambda prime: None, 0, 1)
first.wait()
search = first
primes.Search(callback, 2, 3).wait()
"""))

    def test_primes_ends_a_search_that_is_cancelled_or_deleted(self):
        self.assertEqual("True\n", self.primes("""
import primes, threading
searches, running = [], threading.Semaphore(0)
for how in "cancelled", "deleted":
    searches.append(primes.Search(lambda prime: running.release(), 0, 10 ** 18))
    running.acquire()
cancelled = searches[0]
cancelled.cancel()
cancelled.wait()
del searches[:]
# The pool has two threads, so these would wait for ever if one still searched; and one of them if both did.
last = [primes.Search(lambda prime: None, 0, 10 ** 4) for _ in range(20)]
for search in last:
    search.wait()
blocks = threading.Barrier(2)  # both threads at once
both = [primes.Search(lambda prime: blocks.wait(), 2, 3) for _ in range(2)]
for search in both:
    search.wait()
print(True)
"""))

    def test_primes_waits_with_an_eye_on_signals(self):
        self.assertEqual("interrupted\n", self.primes("""
import primes, signal
signals = [signal.SIGINT]
try:
    search = primes.Search(lambda prime: signals and signal.raise_signal(signals.pop()), 0, 10 ** 18)
    search.wait()
except KeyboardInterrupt:
    print("interrupted")
"""))

    def test_primes_lets_python_end_under_its_threads(self):
        for _ in range(5):
            self.assertEqual("leaving\n", self.primes("""
import primes, threading
running = threading.Semaphore(0)
def callback(prime):
    running.release()
searches = [primes.Search(callback, 0, 10 ** 18) for _ in range(10)]
for _ in range(20):
    running.acquire()
print("leaving")
""", "-X", "dev"))

    def test_primes_finishes_the_callback_that_runs_when_python_ends(self):
        # It ends when another search is refused, so not before the exit has begun.
        self.assertEqual("refused\n[2]\n", self.primes("""
import atexit, primes, threading, time
running, finished = threading.Event(), []
def callback(prime):
    running.set()
    try:
        while True:
            primes.Search(len, 0, 0)
            time.sleep(0.001)
    except RuntimeError:
        print("refused", flush=True)
    finished.append(prime)
search = primes.Search(callback, 0, 10 ** 18)
running.wait()
atexit._run_exitfuncs()  # by hand, to look at what comes after it
print(finished, flush=True)
"""))

    def test_primes_refuses_searches_in_a_child_of_fork_which_ends_well(self):
        self.assertEqual("there are no threads: Python is ending, or a fork() left them behind\n7\n", self.primes("""
import os, primes, sys
kept = primes.Search(lambda prime: None, 0, 100)
kept.wait()
child = os.fork()
if child == 0:
    try:
        primes.Search(print, 0, 10)
    except RuntimeError as error:
        print(error, flush=True)
    kept.wait()
    sys.exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""", "-W", "ignore"))

    def test_primes_gives_back_every_reference(self):
        self.assertEqual("through\n", self.primes("""
import primes, weakref
class Callback:
    def __call__(self, prime):
        pass
class Knows(Callback):
    pass
callbacks = [Callback() for _ in range(20)]
gone = [weakref.ref(it) for it in callbacks]
searches = [primes.Search(it, 0, 100) for it in callbacks]
cycle = Knows()
cycle.search = primes.Search(cycle, 0, 100)  # the callback knows its search
cycle.search.wait()
gone.append(weakref.ref(cycle))
del callbacks, searches, cycle
while any(it() for it in gone):  # released by the next attach, or by the library's own thread
    primes.Search(print, 0, 0).wait()
print("through")
"""))

    def test_primes_leaves_the_gil_off(self):
        self.assertEqual("False\n", self.primes("""
import sys, sysconfig
import primes
print(sysconfig.get_config_var("Py_GIL_DISABLED") == 1 and sys._is_gil_enabled())
"""))
