"""A module that uses CPython's API, with the one line that routes it."""

import os
import subprocess

from setuptools import Extension, setup

routing = subprocess.check_output(["pkg-config", "--libs", "pyattach-gilstate"], text=True).split()

setup(name="counted", ext_modules=[Extension("counted", [os.environ["SOURCE"]], extra_link_args=routing)])
