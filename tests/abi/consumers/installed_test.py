"""The examples against the installed library, found through pkg-config, compiled without a build system."""

import shutil
import unittest
from pathlib import Path

from consumers import SOURCE, Consumer, command, compile_cython, cython, python_headers, run
from executor_tests import ExecutorTests
from host_tests import HostTests
from installed import Tree
from nbdkit_tests import NbdkitTests
from primes_tests import PrimesTests
from words_tests import WordsTests


class InstalledTest(Consumer, HostTests, WordsTests, ExecutorTests, PrimesTests, NbdkitTests):
    @classmethod
    def build(cls):
        tree = Tree(cls.folder)

        def ask(*words):
            return run(*command("PKG_CONFIG", "pkg-config"), *words, "pyattach", env=tree.environment()).stdout.split()

        cls.flags = ask("--cflags", "--keep-system-cflags")
        cls.flags += ["-fPIC", "-fvisibility=hidden", "-Werror", "-Wall", "-Wextra"]
        cls.link = ask("--libs", "--keep-system-libs") + [f"-Wl,-rpath,{tree.libraries}", "-pthread"]
        cls.host = cls.folder / "host"
        cls.plugin = cls.folder / "definitions.so"
        examples = SOURCE / "examples"
        sources = sorted((examples / "host").glob("*.cpp"))
        run(*command("CXX", "c++"), "-std=c++17", f"-I{examples / 'plugin'}", *sources, "-o", cls.host, "-pthread",
            "-ldl")
        cls.compile(cls.plugin, examples / "plugin")
        if Path("/usr/include/nbdkit-plugin.h").exists():
            cls.nbdkit = cls.folder / "nbdkit-pyattach-plugin.so"
            cls.compile(cls.nbdkit, examples / "nbdkit", "-ldl")
        if python_headers():
            include, suffix = python_headers()
            headers = "-isystem", include
            cls.compile(cls.folder / f"words{suffix}", examples / "extension", *headers)
            cls.compile(cls.folder / f"executor{suffix}", examples / "extension_cpp", *headers)
            cls.modules = [cls.folder]
            if not isinstance(cython(), str):
                written = cls.folder / "cython/primes.c"
                written.parent.mkdir()
                compile_cython(examples / "extension_cython/primes.pyx", *ask("--variable=pxddir"), written)
                shutil.copy(examples / "extension_cython/pool.c", written.parent)
                pool = f"-I{examples / 'extension_cython'}"
                cls.compile(cls.folder / f"primes{suffix}", written.parent, *headers, pool, "-std=gnu99", "-w")

    @classmethod
    def compile(cls, result, folder, *flags):
        """A shared object of everything in a folder, C or C++."""
        sources = sorted(folder.glob("*.c"))
        compiler = [*command("CC", "cc"), "-std=c99", "-D_POSIX_C_SOURCE=200809L"]
        if not sources:
            sources = sorted(folder.glob("*.cpp"))
            compiler = [*command("CXX", "c++"), "-std=c++17"]
        run(*compiler, "-shared", *cls.flags, *flags, *sources, "-o", result, *cls.link)


if __name__ == "__main__":
    unittest.main(verbosity=2)
