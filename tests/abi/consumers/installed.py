"""An installed tree of the library, which may stand anywhere."""

import contextlib
import fcntl
import filecmp
import os
import shutil
import unittest
from pathlib import Path

from consumers import BUILD, command, run

KEPT = BUILD / "tests/abi/consumers/root"


def is_of_this_build(root):
    """Whether what was installed below `root` is the library of today."""
    library = next(root.rglob("libpyattach.so.*.*[0-9]"), None)
    return library is not None and filecmp.cmp(library, BUILD / "capi" / library.name, shallow=False)


@contextlib.contextmanager
def alone():
    """Tests run side by side, and Meson lets only one of them install."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with open(KEPT.with_name("root.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Tree:
    """What is installed, below its prefix."""

    def __init__(self, folder):
        """Installs what is built, in this folder.

        Only the Meson that made the build directory can do it. In another root directory there may be another one: for
        that each installation is kept until the next one.
        """
        fresh = folder / "installed"
        with alone():
            done = run(*command("MESON", "meson"), "install", "-C", BUILD, "--no-rebuild", expect=None,
                       env=dict(os.environ, DESTDIR=str(fresh)))
            if done.returncode == 0:
                shutil.rmtree(KEPT, ignore_errors=True)
                shutil.copytree(fresh, KEPT, symlinks=True)
            elif "generated with" not in done.stdout + done.stderr:  # "... Meson version 1.0.1", "... an old version of meson"
                raise AssertionError(done.stdout + done.stderr)
            elif not is_of_this_build(KEPT):
                raise unittest.SkipTest("THIS MESON CANNOT INSTALL THAT BUILD, and no other one has: run this outside first")
            else:
                shutil.copytree(KEPT, fresh, symlinks=True)
        self.place(next(path.parent for path in fresh.rglob("include") if (path / "pyattach").is_dir()))
        if "${pcfiledir}" not in (self.pkgconfig / "pyattach.pc").read_text():
            raise AssertionError(f"{BUILD} is older than relocatable .pc files: run meson configure -Dpkgconfig.relocatable=true there")

    def place(self, prefix):
        self.prefix = prefix
        self.pkgconfig = next(prefix.rglob("pyattach.pc")).parent
        self.libraries = self.pkgconfig.parent
        self.pxddir = next(prefix.rglob("pyattach/__init__.pxd")).parents[1]

    def move(self, to):
        """Takes it away from where it was."""
        to.parent.mkdir(parents=True, exist_ok=True)
        self.prefix.rename(to)
        self.place(to)

    def environment(self):
        """For pkg-config, Meson and CMake, which find this tree and no other one."""
        return {**os.environ, "PKG_CONFIG_LIBDIR": str(self.pkgconfig), "PKG_CONFIG_PATH": "", "PKG_CONFIG_SYSROOT_DIR": "",
                "CMAKE_PREFIX_PATH": str(self.prefix), "CMAKE_FIND_USE_PACKAGE_REGISTRY": "OFF"}
