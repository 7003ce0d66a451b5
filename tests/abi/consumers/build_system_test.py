"""Small consumers (small/) of the installed library, with one build system, named by the first argument: pkg-config, meson or cmake.

A host, a plugin and an extension module, each in C and in C++, each with the shared and with the static library, and the
host linked to Python too. They are built and run, then the installed tree is moved, and they are built and run again.
"""

import concurrent.futures
import contextlib
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, command, libpython, needed, python_headers, run
from installed import Tree

SMALL = SOURCE / "tests/abi/consumers/small"
ONE_CPU_IS_LEFT = 2  # compilers at once: other tests run beside this one
STANDARDS = {".c": ("CC", "cc", "-std=gnu99"), ".cpp": ("CXX", "c++", "-std=c++17")}
WAYS = {"shared": "pyattach", "static": "pyattach-static"}


def has_embed(tree):
    return (tree.pkgconfig / "pyattach-embed.pc").exists()


class PkgConfig:
    def ask(self, tree, *words):
        return run(*command("PKG_CONFIG", "pkg-config"), *words, env=tree.environment()).stdout.split()

    def build(self, tree, build):
        """No build system at all: a compiler, and what pkg-config tells it."""
        build.mkdir()
        jobs = [self.job("loader.c", build / "loader", [], ["-ldl"])]
        for suffix in STANDARDS:
            language = suffix[1:]
            for way, package in WAYS.items():
                flags = self.ask(tree, "--cflags", package)
                link = self.ask(tree, "--libs", package) + [f"-Wl,-rpath,{tree.libraries}"]
                name = f"{language}_{way}"
                jobs.append(self.job("host" + suffix, build / f"host_{name}", flags, link))
                flags += ["-fPIC", "-shared", "-fvisibility=hidden"]
                jobs.append(self.job("plugin" + suffix, build / f"plugin_{name}.so", flags, link + ["-Wl,--no-undefined"]))
                if python_headers():
                    include, ending = python_headers()
                    flags += ["-isystem", include, f"-DMODULE=extension_{name}"]
                    jobs.append(self.job("extension" + suffix, build / f"extension_{name}{ending}", flags, link))
            if has_embed(tree):
                flags = ["-Wl,--as-needed"] + self.ask(tree, "--cflags", "pyattach-embed")
                link = self.ask(tree, "--libs", "pyattach-embed") + [
                    f"-Wl,-rpath,{tree.libraries}", f"-Wl,-rpath,{Path(libpython()).parent}"]
                jobs.append(self.job("host" + suffix, build / f"host_{language}_embed", flags, link))
        with concurrent.futures.ThreadPoolExecutor(ONE_CPU_IS_LEFT) as pool:
            list(pool.map(lambda words: run(*words), jobs))

    def job(self, source, result, flags, link):
        variable, default, standard = STANDARDS[Path(source).suffix]
        return [*command(variable, default), standard, "-Wall", "-Wextra", "-Werror", *flags, SMALL / source, "-o", result,
                *link, "-pthread"]


class Meson:
    def build(self, tree, build):
        include, suffix = python_headers() or ("", ".so")
        meson = command("MESON", "meson")
        run(*meson, "setup", build, SMALL, f"-Dpython_include={include}", f"-Dpython_suffix={suffix[1:]}",
            f"-Dembed={'enabled' if has_embed(tree) else 'disabled'}", env=tree.environment())
        run(*meson, "compile", "-C", build, f"-j{ONE_CPU_IS_LEFT}", env=tree.environment())


class CMake:
    def build(self, tree, build):
        include, suffix = python_headers() or ("", ".so")
        run("cmake", "-GNinja", "-S", SMALL, "-B", build, f"-DPYTHON_INCLUDE={include}", f"-DPYTHON_SUFFIX={suffix[1:]}",
            "-DCOMPONENTS=shared;static" + ";embed" * has_embed(tree), env=tree.environment())
        run("cmake", "--build", build, "--parallel", ONE_CPU_IS_LEFT)


SYSTEMS = {"pkg-config": PkgConfig, "meson": Meson, "cmake": CMake}


class BuildSystemTest(unittest.TestCase):
    system = None

    @classmethod
    def setUpClass(cls):
        cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cleanup.close)
        cls.folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-small-")))
        cls.tree = Tree(cls.folder)

    def test_consumers_are_built_and_run_and_again_after_the_installed_tree_has_moved(self):
        self.tree.move(self.folder / "here/usr")
        self.check(self.folder / "build-here")
        self.tree.move(self.folder / "there")
        with self.subTest("what was built is told the new place"):
            host = self.folder / "build-here/host_c_shared"
            self.check_host(host, LD_LIBRARY_PATH=str(self.tree.libraries))
            self.assertNotEqual(0, run(host, libpython(), expect=None).returncode, "the old place is still there")
        self.check(self.folder / "build-there")

    def check(self, build):
        self.system.build(self.tree, build)
        for language in "c", "cpp":
            for way in WAYS:
                with self.subTest(build=build, language=language, way=way):
                    self.check_way(build, language, way)
            if has_embed(self.tree):
                with self.subTest(build=build, language=language, way="embed"):
                    self.check_embed(build / f"host_{language}_embed")

    def check_host(self, host, *words, **environment):
        self.assertEqual("45\n", run(host, *(words or [libpython()]), env={**os.environ, **environment}).stdout)

    def check_way(self, build, language, way):
        name = f"{language}_{way}"
        host, plugin = build / f"host_{name}", build / f"plugin_{name}.so"
        self.check_host(host)
        self.assertEqual("45\n", run(build / "loader", plugin, libpython()).stdout)
        built = [host, plugin]
        if python_headers():
            module = f"extension_{name}"
            built.append(build / (module + python_headers()[1]))
            # Without the warning that a free-threaded Python switches its GIL on.
            done = run(PYTHON, "-W", "ignore:The global interpreter lock", "-c", f"import {module}; print({module}.answer())",
                       env={**os.environ, "PYTHONPATH": str(build)})
            self.assertEqual(("45\n", ""), (done.stdout, done.stderr))
        for binary in built:
            ours = [name for name in needed(binary) if "py" in name]
            self.assertEqual(["libpyattach.so.0"] if way == "shared" else [], ours, binary)
            if way == "static" and binary != host:
                self.assertIn("NODELETE", run("readelf", "-d", binary).stdout, "it must not be unloaded under Python's callbacks")
                shown = run("nm", "-D", "--defined-only", binary).stdout
                self.assertNotRegex(shown, r" pyattach_", "its own symbols alone are for those who load it")

    def check_embed(self, host):
        """Linked to libpython although the linker was told to leave out what is not needed."""
        self.assertEqual([True, True], [any(name.startswith(start) for name in needed(host)) for start in ("libpyattach", "libpython")])
        self.assertEqual("45\n", run(host).stdout)


if __name__ == "__main__":
    name = sys.argv.pop(1)
    BuildSystemTest.system = SYSTEMS[name]()
    if name == "cmake" and shutil.which("cmake") is None:
        print("skipped: THERE IS NO CMake HERE (on Debian: apt install cmake)")
        sys.exit(77)
    unittest.main(verbosity=2)
