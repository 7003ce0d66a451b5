"""The examples against the installed library, found through pkg-config, compiled without a build system."""

import filecmp
import os
import shutil
import unittest

from consumers import BUILD, SOURCE, Consumer, command, python_headers, run
from executor_tests import ExecutorTests
from host_tests import HostTests
from words_tests import WordsTests


def is_of_this_build(root):
    """Whether what was installed below `root` is the library of today."""
    library = next(root.rglob("libpyattach.so.*.*"), None)
    return library is not None and filecmp.cmp(library, BUILD / "capi" / library.name, shallow=False)


def install(folder):
    """Installs what is built; returns the library directory and the environment that pkg-config needs.

    Only the Meson that made the build directory can do it. In another root directory there may be another one: for that
    each installation is kept until the next one.
    """
    kept, fresh = BUILD / "tests/abi/consumers/root", folder / "root"
    done = run(*command("MESON", "meson"), "install", "-C", BUILD, "--no-rebuild", expect=None,
               env=dict(os.environ, DESTDIR=str(fresh)))
    if done.returncode == 0:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(fresh, kept, symlinks=True)
    elif "generated with" not in done.stdout + done.stderr:  # "... Meson version 1.0.1", "... an old version of meson"
        raise AssertionError(done.stdout + done.stderr)
    elif not is_of_this_build(kept):
        raise unittest.SkipTest("THIS MESON CANNOT INSTALL THAT BUILD, and no other one has: run this outside first")
    else:
        shutil.copytree(kept, fresh, symlinks=True)
    found = next(fresh.rglob("pyattach.pc")).parent
    only_here = {"PKG_CONFIG_SYSROOT_DIR": str(fresh), "PKG_CONFIG_LIBDIR": str(found), "PKG_CONFIG_PATH": ""}
    return found.parent, {**os.environ, **only_here}


class InstalledTest(Consumer, HostTests, WordsTests, ExecutorTests):
    @classmethod
    def build(cls):
        cls.libraries, environment = install(cls.folder)

        def ask(*words):
            return run(*command("PKG_CONFIG", "pkg-config"), *words, "pyattach", env=environment).stdout.split()

        cls.flags = ask("--cflags", "--keep-system-cflags")
        cls.flags += ["-fPIC", "-fvisibility=hidden", "-Werror", "-Wall", "-Wextra"]
        cls.link = ask("--libs", "--keep-system-libs") + [f"-Wl,-rpath,{cls.libraries}", "-pthread"]
        cls.host = cls.folder / "host"
        cls.plugin = cls.folder / "definitions.so"
        examples = SOURCE / "examples"
        sources = sorted((examples / "host").glob("*.cpp"))
        run(*command("CXX", "c++"), "-std=c++17", f"-I{examples / 'plugin'}", *sources, "-o", cls.host, "-pthread",
            "-ldl")
        cls.compile(cls.plugin, examples / "plugin")
        if python_headers():
            include, suffix = python_headers()
            headers = "-isystem", include
            cls.compile(cls.folder / f"words{suffix}", examples / "extension", *headers)
            cls.compile(cls.folder / f"executor{suffix}", examples / "extension_cpp", *headers)
            cls.modules = [cls.folder]

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
