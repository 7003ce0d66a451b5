"""What a user of the C++ extension module `executor` sees."""

from consumers import needed


class ExecutorTests:
    def test_executor_does_not_link_libpython(self):
        self.assertEqual(["libpyattach.so.0"], [name for name in needed(self.module("executor")) if "py" in name])

    def test_executor_calls_on_a_native_thread_and_returns_the_result_in_a_future(self):
        done = self.python("""
import executor, threading
def where(*args, **kwargs):
    return args, kwargs, threading.current_thread() is threading.main_thread()
futures = [executor.submit(pow, 2, n) for n in range(100)]
print(sum(future.result() for future in futures) == 2 ** 100 - 1)
print(executor.submit(where).result(), executor.submit(where, 1, key="k").result())
""")
        self.assertEqual(("True\n((), {}, False) ((1,), {'key': 'k'}, False)\n", ""), (done.stdout, done.stderr))

    def test_executor_hands_on_what_a_call_raises(self):
        done = self.python("""
import executor
def fail():
    raise KeyError("lost")
future = executor.submit(fail)
error = future.exception()
print(repr(error), error.__traceback__.tb_frame.f_code.co_name)
""")
        self.assertEqual(("KeyError('lost') fail\n", ""), (done.stdout, done.stderr))

    def test_executor_makes_futures_that_the_standard_library_knows(self):
        done = self.python("""
import asyncio, concurrent.futures, executor
futures = [executor.submit(abs, -n) for n in range(5)]
print(sorted(future.result() for future in concurrent.futures.as_completed(futures)))
async def main():
    return await asyncio.wrap_future(executor.submit(sum, [1, 2, 3]))
print(asyncio.run(main()))
""")
        self.assertEqual(("[0, 1, 2, 3, 4]\n6\n", ""), (done.stdout, done.stderr))

    def test_executor_does_not_call_what_was_cancelled(self):
        done = self.python("""
import executor, threading
go, calls = threading.Event(), []
blocked = [executor.submit(go.wait) for _ in range(1000)]  # more than there are threads
waiting = executor.submit(calls.append, "called")
print(waiting.cancel(), waiting.cancelled())
go.set()
executor.submit(abs, 0).result()
for future in blocked:
    future.result()
print(calls)
""")
        self.assertEqual(("True True\n[]\n", ""), (done.stdout, done.stderr))

    def test_executor_refuses_what_cannot_be_called(self):
        done = self.python("""
import executor
for arguments in ((), (None,)):
    try:
        executor.submit(*arguments)
    except TypeError as error:
        print(error)
""")
        self.assertEqual("submit() takes a function first\n" * 2, done.stdout)

    def test_executor_lets_the_interpreter_end_under_its_threads(self):
        done = self.python("""
import executor
futures = [executor.submit(sum, range(10000)) for _ in range(2000)]
futures[0].result()
print("leaving")
""", "-X", "dev")
        self.assertEqual(("leaving\n", ""), (done.stdout, done.stderr))

    def test_executor_finishes_the_call_that_runs_when_the_interpreter_ends_and_drops_the_others(self):
        # A call ends when the executor refuses another one, so that none of them can end before the exit has begun.
        done = self.python("""
import atexit, threading, time
import executor
entered = threading.Event()
def call():
    entered.set()
    try:
        while True:
            executor.submit(len, "")
            time.sleep(0.001)
    except RuntimeError:
        pass
running = executor.submit(call)
entered.wait()
waiting = [executor.submit(call) for _ in range(1000)]
atexit._run_exitfuncs()  # by hand, to look at what comes after it
print(running.done(), all(future.done() for future in waiting), flush=True)
""")
        self.assertEqual(("True False\n", ""), (done.stdout, done.stderr))

    def test_executor_refuses_calls_once_the_interpreter_ends(self):
        done = self.python("""
import atexit
import executor
executor.submit(abs, 1).result()
atexit._run_exitfuncs()  # by hand: the threads end
try:
    executor.submit(print)
except RuntimeError as error:
    print(error)
""")
        self.assertEqual(("the threads have ended: the interpreter does, or a fork() left them behind\n", ""),
                         (done.stdout, done.stderr))

    def test_executor_refuses_calls_in_a_child_of_fork_which_ends_well(self):
        done = self.python("""
import executor, os, sys
child = os.fork()  # no thread of it is attached now, which a fork could not cope with
if child == 0:
    try:
        executor.submit(abs, 1)
    except RuntimeError as error:
        print(error, flush=True)
    sys.exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""", "-W", "ignore")
        self.assertEqual(("the threads have ended: the interpreter does, or a fork() left them behind\n7\n", ""),
                         (done.stdout, done.stderr))

    def test_executor_gives_back_every_reference(self):
        done = self.python("""
import executor, sys, weakref
class Function:
    def __call__(self, thing, *, key):
        return thing
class Thing:
    pass
function, thing = Function(), Thing()
before = [sys.getrefcount(it) for it in (function, thing)]
for future in [executor.submit(function, thing, key=thing) for _ in range(100)]:
    future.result()
gone = weakref.ref(future)
del future
# Who has the result may be ahead of the thread that drops the call.
while gone() or [sys.getrefcount(it) for it in (function, thing)] != before:
    executor.submit(abs, 0).result()
print("through")
""")
        self.assertEqual(("through\n", ""), (done.stdout, done.stderr))

    def test_executor_leaves_the_gil_off(self):
        done = self.python("""
import sys, sysconfig
import executor
print(sysconfig.get_config_var("Py_GIL_DISABLED") == 1 and sys._is_gil_enabled())
""")
        self.assertEqual("False\n", done.stdout)

    def test_executor_works_in_sub_interpreters_with_a_gil_of_their_own(self):
        self.in_sub_interpreters("""
import executor
assert sum(executor.submit(abs, -n).result() for n in range(20)) == 190
for _ in range(200):  # it ends with these under way
    executor.submit(sum, range(1000))
""", threads=True)
