#!/usr/bin/env python3
"""Counts the instructions that the fast paths execute in libpyattach.so itself, and holds them against bounds.

    count.py DRIVER LIBRARY PYTHON LIBPYTHON OPTIMISED

Unlike time, the count does not depend on what else the machine does. CPython's own instructions, and those of the
dynamic linker, are shown and not judged. Skipped (status 77) without valgrind, in builds that are not optimised, and for
a debug build of Python.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
TIMES = 1000  # as in driver.cpp

# Instructions per operation, begin and end or lock and unlock together; at most, slightly above the larger of what GCC 12
# and Clang 14 make. The first is for CPython up to 3.11, then from 3.12, then free-threaded. What CPython is asked by
# looking at its own words (cpython_layout.cpp) is in here, and not in CPython's column. A free-threaded CPython does not
# keep errno over what may wait (an attach, a section, a destructor), so there the library does, for 6 to 13 a call.
BOUNDS = {
    "nested": (50, 50, 50),
    "assume": (40, 40, 40),
    "attach": (115, 115, 127),
    "detach": (103, 103, 116),
    "decref": (40, 40, 49),
    "push": (84, 84, 84),  # a quarter of them fenced
    "section": (74, 69, 121),
    "mutex": (41, 41, 41),
    # The same on a thread that Python attached, below no scope of the library.
    # Up to 3.11 CPython is asked once whose the current state is. Up to 3.13 a detach reads the reattach guard.
    "python_nested": (85, 68, 68),
    "python_detach": (155, 152, 168),
    "python_section": (87, 69, 121),
    "python_decref": (60, 57, 69),
    # What a trace adds to the slow path is three records. After it a thread is on the fast path again.
    "slow_attach": (800, 800, 830),
    "traced_attach": (1080, 1080, 1110),
    "attach_after_trace": (115, 115, 127),
}
NAMES = {
    "python_nested": "nested, Python thread",
    "python_detach": "detach, Python thread",
    "python_section": "section, Python thread",
    "python_decref": "decref, Python thread",
    "slow_attach": "attach, slow path",
    "traced_attach": "the same, traced",
    "attach_after_trace": "attach, after a trace",
}
FOR_COMPARISON = {"gilstate": "PyGILState, nested", "floor": "SaveThread, RestoreThread"}


def costs_by_object(path):
    """Instructions executed in each shared object itself, out of one of callgrind's dumps."""
    costs, where, is_inclusive = collections.Counter(), "", False
    for line in path.read_text().splitlines():
        if line.startswith("ob="):
            where = os.path.basename(line[3:])
        elif line.startswith("calls="):
            is_inclusive = True  # of the line that follows
        elif re.match(r"\d+ \d+$", line):
            if not is_inclusive:
                costs[where] += int(line.split()[1])
            is_inclusive = False
    return costs


def count(driver, python, libpython):
    """The version of Python, whether it is free-threaded, and for each path the instructions by object."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            # Two functions, because of two options for one function callgrind heeds only the last.
            ["valgrind", "--tool=callgrind", "--zero-before=start_counting", "--dump-after=measured_*",
             "--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={directory}/out",
             driver, libpython, python], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{driver} under valgrind ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        version, free_threaded = done.stdout.split()
        counts = {}
        # Numbered in the order of time; the last dump of a path is the one that counts.
        for path in sorted(Path(directory).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            trigger = re.search(r"^desc: Trigger: --dump-after=measured_(\w+)", path.read_text(), re.MULTILINE)
            if trigger:
                counts[trigger.group(1)] = costs_by_object(path)
    return int(version, 16), free_threaded == "1", counts


def share(costs, pattern):
    return sum(cost for where, cost in costs.items() if re.search(pattern, where)) / TIMES


def main(driver, library, python, libpython, optimised):
    if optimised != "true":
        print("counts of a build that is not optimised say nothing")
        return SKIPPED
    if subprocess.run(["sh", "-c", "command -v valgrind"], stdout=subprocess.DEVNULL).returncode != 0:
        print("there is no valgrind (on Debian: apt install valgrind)")
        return SKIPPED
    python = os.environ.get("PYATTACH_TEST_PYTHON", python)
    libpython = os.environ.get("PYATTACH_TEST_LIBPYTHON", libpython)
    # There every attach makes a state of its own.
    if subprocess.run([python, "-c", "import sys; sys.exit(hasattr(sys, 'gettotalrefcount'))"]).returncode != 0:
        print("a debug build of Python says nothing about the fast paths")
        return SKIPPED
    version, free_threaded, counts = count(driver, python, libpython)
    column = 2 if free_threaded else int(version >= 0x030c0000)
    print(f"CPython {version >> 24}.{version >> 16 & 255}{', free-threaded' if free_threaded else ''}")
    print(f"{'instructions in':<28}{'libpyattach':>12}{'at most':>9}{'CPython':>9}{'libc, ld.so':>13}")
    failed = 0
    for path in list(BOUNDS) + list(FOR_COMPARISON):
        ours = share(counts[path], re.escape(os.path.basename(library)))
        bound = BOUNDS[path][column] if path in BOUNDS else 0
        is_over = bound < ours or (path in BOUNDS and ours == 0)
        failed += is_over
        name = {**NAMES, **FOR_COMPARISON}.get(path, path)
        print(f"{name:<28}{ours:12.1f}{bound:9}{share(counts[path], 'python'):9.1f}"
              f"{share(counts[path], r'^(libc|ld-linux|libpthread)'):13.1f}{'   TOO MANY' if is_over else ''}")
    if failed:
        print("\nA fast path grew. If it had to, say why in the change that raises the bound.")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
