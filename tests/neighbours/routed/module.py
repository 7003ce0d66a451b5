"""Has the native threads of the extension module `counted` call Python, and ends under some that go on calling."""

import itertools
import sys

import calls
import counted

if sys.argv[1] == "call":
    numbers = itertools.count()
    for _ in range(4):
        assert counted.call(lambda: calls.note(next(numbers)), 10) == 0
    print(calls.summary())
else:
    for _ in range(4):
        assert counted.leave_behind(lambda: calls.note(1)) == 0
    calls.many.wait()
