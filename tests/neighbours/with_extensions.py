"""Runs a program with the extension modules that can be built for the Python under test: their folder is in PYATTACH_TEST_MODULES.

usage: with_extensions.py NAME,... PROGRAM [ARGUMENT...]      which modules; see extensions.py
"""

import os
import sys

import extensions

folder = extensions.folder_of_python()
for name in sys.argv[1].split(","):
    try:
        extensions.Builder(folder).build(name)
    except extensions.Missing as missing:
        print(f"{name}: {missing}")
sys.stdout.flush()
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "PYATTACH_TEST_MODULES": str(folder)})
