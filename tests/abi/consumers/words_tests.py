"""What a user of the C extension module `words` sees."""

import json

from consumers import needed


class WordsTests:
    def test_words_does_not_link_libpython(self):
        self.assertEqual(["libpyattach.so.0"], [name for name in needed(self.module("words")) if "py" in name])

    def test_words_calls_back_with_the_number_of_words(self):
        text = self.folder / "text"
        text.write_text("one two\n\tthree  four\nfive")
        done = self.python(f"""
import json, threading, words
found, main = [], threading.current_thread()
for _ in range(100):
    words.count({str(text)!r}, lambda path, number: found.append((path, number, threading.current_thread() is main)))
words.wait()
assert len(found) == 100
print(json.dumps(sorted(set(found))))
""")
        self.assertEqual([[str(text), 5, False]], json.loads(done.stdout))
        self.assertEqual("", done.stderr)

    def test_words_calls_back_with_the_error_if_a_file_cannot_be_read(self):
        done = self.python(f"""
import words
words.count({str(self.folder / "missing")!r}, lambda path, error: print(type(error).__name__, error.filename == path))
words.wait()
""")
        self.assertEqual("FileNotFoundError True\n", done.stdout)

    def test_words_reports_what_a_callback_raises_and_goes_on(self):
        done = self.python("""
import sys, words
seen = []
sys.unraisablehook = lambda it: seen.append(it.exc_type.__name__)
words.count(__import__("os").devnull, lambda path, number: 1 / 0)
words.count(__import__("os").devnull, lambda path, number: seen.append(number))
words.wait()
print(sorted(map(str, seen)))
""")
        self.assertEqual("['0', 'ZeroDivisionError']\n", done.stdout)

    def test_words_refuses_a_callback_that_waits_for_itself(self):
        done = self.python("""
import os, words
def callback(path, number):
    try:
        words.wait()
    except RuntimeError as error:
        print(error)
words.count(os.devnull, callback)
words.wait()
""")
        self.assertEqual("a callback cannot wait for itself\n", done.stdout)

    def test_words_refuses_what_cannot_be_called_or_is_no_path(self):
        done = self.python("""
import words
for arguments in (("path", None), (1.5, print), ("path",), ("nul\\0", print)):
    try:
        words.count(*arguments)
    except (TypeError, ValueError) as error:
        print(type(error).__name__)
""")
        self.assertEqual(["TypeError", "TypeError", "TypeError", "ValueError"], done.stdout.split())

    def test_words_lets_ctrl_c_end_a_wait(self):
        done = self.python("""
import os, signal, threading, words
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
stop = threading.Event()
def callback(path, number):
    os.kill(os.getpid(), signal.SIGINT)
    stop.wait()
words.count(os.devnull, callback)
try:
    words.wait()
except KeyboardInterrupt:
    print("interrupted")
stop.set()
words.wait()
""")
        self.assertEqual("interrupted\n", done.stdout)

    def test_words_lets_the_interpreter_end_under_its_threads(self):
        done = self.python("""
import os, threading, words
first = threading.Event()
def callback(path, number):
    first.set()
    sum(range(10000))
for _ in range(2000):
    words.count(os.devnull, callback)
first.wait()
print("leaving")
""", "-X", "dev")
        self.assertEqual(("leaving\n", ""), (done.stdout, done.stderr))

    def test_words_finishes_the_callback_that_runs_when_the_interpreter_ends(self):
        done = self.python("""
import atexit, os, threading, words
entered, ending = threading.Event(), threading.Event()
def callback(path, number):
    entered.set()
    ending.wait()
    print("finished", flush=True)
words.count(os.devnull, callback)
entered.wait()
atexit.register(ending.set)  # runs before the callbacks registered earlier
""")
        self.assertEqual(("finished\n", ""), (done.stdout, done.stderr))

    def test_words_refuses_to_count_once_the_interpreter_ends(self):
        done = self.python("""
import atexit, os
import words
words.count(os.devnull, lambda path, number: None)
atexit._run_exitfuncs()  # by hand: the threads end
try:
    words.count(os.devnull, print)
except RuntimeError as error:
    print(error)
words.wait()
print("through")
""")
        self.assertIn("no thread can count: ", done.stdout)
        self.assertIn("through\n", done.stdout)
        self.assertEqual("", done.stderr)

    def test_words_refuses_to_count_in_a_child_of_fork_which_ends_well(self):
        done = self.python("""
import os, sys, words
words.count(os.devnull, lambda path, number: None)
words.wait()
child = os.fork()
if child == 0:
    try:
        words.count(os.devnull, print)
    except RuntimeError as error:
        print(error, flush=True)
    words.wait()
    sys.exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""", "-W", "ignore")
        self.assertTrue(done.stdout.startswith("no thread can count: ") and done.stdout.endswith("\n7\n"), done.stdout)
        self.assertEqual("", done.stderr)

    def test_words_gives_back_every_reference(self):
        done = self.python("""
import os, sys, words
class Path(str):
    pass
class Callback:  # not a function: free-threaded builds do not count references to those
    def __call__(self, path, number):
        pass
callback, path = Callback(), Path(os.devnull)
callbacks, paths = sys.getrefcount(callback), sys.getrefcount(path)
for _ in range(100):
    words.count(path, callback)
words.wait()  # it detaches, and attaching again releases what was dropped meanwhile
print(sys.getrefcount(callback) - callbacks, sys.getrefcount(path) - paths)
""")
        self.assertEqual("0 0\n", done.stdout)

    def test_words_leaves_the_gil_off(self):
        done = self.python("""
import sys, sysconfig
import words
print(sysconfig.get_config_var("Py_GIL_DISABLED") == 1 and sys._is_gil_enabled())
""")
        self.assertEqual("False\n", done.stdout)

    def test_words_works_in_sub_interpreters_with_a_gil_of_their_own(self):
        self.in_sub_interpreters("""
import os, words
found = []
for _ in range(20):
    words.count(os.devnull, lambda path, number: found.append(number))
words.wait()
assert found == [0] * 20, found
for _ in range(200):  # it ends with these under way
    words.count(os.devnull, lambda path, number: found.append(number))
""")
