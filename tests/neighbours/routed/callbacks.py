"""Has native threads call functions that ctypes has made of Python's, and ends under some that go on calling."""

import ctypes
import sys

import calls

caller = ctypes.CDLL(sys.argv[2])
function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(calls.note)
if sys.argv[1] == "call":
    for first in range(0, 40, 10):
        assert caller.call(function, first, 10) == sum(number * number for number in range(first, first + 10))
    print(calls.summary())
else:
    # Threads that call it outlive it otherwise: its machine code is freed with it, when Python ends.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(function))
    for _ in range(4):
        assert caller.leave_behind(function) == 0
    calls.many.wait()
