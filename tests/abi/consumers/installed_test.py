"""The examples against the installed library, found through pkg-config, compiled without a build system."""

import os
import unittest

from consumers import BUILD, SOURCE, Consumer, command, python_headers, run
from host_tests import HostTests
from words_tests import WordsTests


def install(into):
    """Installs what is built, below `into`; returns its library directory and the environment that pkg-config needs."""
    run(*command("MESON", "meson"), "install", "-C", BUILD, "--no-rebuild", "--quiet",
        env=dict(os.environ, DESTDIR=str(into)))
    found = next(into.rglob("pyattach.pc")).parent
    return found.parent, dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(into), PKG_CONFIG_LIBDIR=str(found), PKG_CONFIG_PATH="")


class InstalledTest(Consumer, HostTests, WordsTests):
    @classmethod
    def build(cls):
        cls.libraries, environment = install(cls.folder / "root")

        def ask(*words):
            return run(*command("PKG_CONFIG", "pkg-config"), *words, "pyattach", env=environment).stdout.split()

        cls.flags = ask("--cflags", "--keep-system-cflags") + ["-fPIC", "-fvisibility=hidden", "-Werror", "-Wall", "-Wextra"]
        cls.link = ask("--libs", "--keep-system-libs") + [f"-Wl,-rpath,{cls.libraries}", "-pthread"]
        cls.host = cls.folder / "host"
        cls.plugin = cls.folder / "definitions.so"
        examples = SOURCE / "examples"
        run(*command("CXX", "c++"), "-std=c++17", f"-I{examples / 'plugin'}", *sorted((examples / "host").glob("*.cpp")),
            "-o", cls.host, "-pthread", "-ldl")
        cls.compile_c(cls.plugin, examples / "plugin")
        if python_headers():
            include, suffix = python_headers()
            cls.modules = cls.folder / "modules"
            cls.modules.mkdir()
            cls.compile_c(cls.modules / f"words{suffix}", examples / "extension", "-isystem", include)

    @classmethod
    def compile_c(cls, result, folder, *flags):
        run(*command("CC", "cc"), "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-shared", *cls.flags, *flags,
            *sorted(folder.glob("*.c")), "-o", result, *cls.link)


if __name__ == "__main__":
    unittest.main(verbosity=2)
