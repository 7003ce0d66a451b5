"""Builds the extension modules of this folder for the Python under test, with what is there: pybind11, nanobind, Cython, PyO3.

  extensions.py DIRECTORY     builds what can be built into it; one line each: its name, and "built" or why not

The environment: PYATTACH_TEST_BUILD, PYATTACH_TEST_PYTHON or else PYATTACH_TEST_DEFAULT_PYTHON, CC, CXX. What is built is kept as long as
its sources, the library's headers and the Python stay the same.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = Path(os.environ["PYATTACH_TEST_BUILD"])
PYTHON = os.environ.get("PYATTACH_TEST_PYTHON") or os.environ["PYATTACH_TEST_DEFAULT_PYTHON"]
CRATES = Path("/usr/share/cargo/registry")  # where Debian has the sources of Rust packages
NANOBIND = Path("/usr/share/nanobind")
DEADLINE_S = 500

ABOUT = """
import json, sys, sysconfig
print(json.dumps({"version": sys.version_info[:2], "hex": sys.version, "include": sysconfig.get_path("include"),
                  "suffix": sysconfig.get_config_var("EXT_SUFFIX"), "executable": sys.executable,
                  "is_free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED"))}))
"""


class Missing(Exception):
    """What it takes is not there."""


def command(name, default):
    chosen = shlex.split(os.environ.get(name) or default)
    # In another root there may be no launcher such as ccache, or another compiler.
    while chosen and not shutil.which(chosen[0]):
        chosen.pop(0)
    return chosen or [default]


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="backslashreplace", timeout=DEADLINE_S, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, words))}\nended with {done.returncode}; it said:\n{done.stdout}")
    return done.stdout


class Builder:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.python = json.loads(run(PYTHON, "-c", ABOUT))
        self.version = tuple(self.python["version"])
        if not Path(self.python["include"], "Python.h").exists():
            raise Missing(f"{PYTHON} has no Python.h")

    def compile_cpp(self, name, sources, *flags):
        library = BUILD / "capi"
        run(*command("CXX", "c++"), "-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-w",
            "-isystem", self.python["include"], f"-I{SOURCE / 'include'}", f"-I{HERE / 'cpp'}", *flags, *sources,
            "-o", self.folder / (name + self.python["suffix"]), f"-L{library}", "-lpyattach", f"-Wl,-rpath,{library}", "-pthread")

    def require_pybind11(self):
        header = Path("/usr/include/pybind11/detail/common.h")
        if not header.exists():
            raise Missing("pybind11 is not here (on Debian: apt install pybind11-dev)")
        is_old = "PYBIND11_VERSION_MAJOR 2" in header.read_text()
        if is_old and (self.version > (3, 11) or self.python["is_free_threaded"]):
            raise Missing("this pybind11 is older than this Python")

    def pybind11(self):
        self.require_pybind11()
        self.compile_cpp("beside_pybind11", [HERE / "cpp/beside_pybind11.cpp"])

    def pybind11_adapters(self):
        self.require_pybind11()
        self.compile_cpp("adapters_pybind11", [HERE / "cpp/adapters_pybind11.cpp"])

    def compile_nanobind(self, name):
        if not (NANOBIND / "src/nb_combined.cpp").exists():
            raise Missing("nanobind is not here")
        threaded = ["-DNB_FREE_THREADED=1"] if self.python["is_free_threaded"] else []
        robin = ["-isystem", NANOBIND / "ext/robin_map/include"]
        self.compile_cpp(name, [HERE / f"cpp/{name}.cpp", NANOBIND / "src/nb_combined.cpp"], "-isystem",
                         NANOBIND / "include", *robin, "-fno-strict-aliasing", *threaded)

    def nanobind(self):
        self.compile_nanobind("beside_nanobind")

    def nanobind_adapters(self):
        self.compile_nanobind("adapters_nanobind")

    def cython(self):
        cython = shutil.which("cython3") or shutil.which("cython")
        if not cython:
            raise Missing("Cython is not here (on Debian: apt install cython3)")
        if " 0." in run(cython, "--version") and (self.version > (3, 11) or self.python["is_free_threaded"]):
            raise Missing("this Cython is older than this Python")
        work = self.folder / "cython"
        work.mkdir(exist_ok=True)
        shutil.copy(HERE / "cython/beside_cython.pyx", work)
        run(cython, "--cplus", "-3", "beside_cython.pyx", cwd=work)
        # Which newer Cythons would make functions of C++'s.
        self.compile_cpp("beside_cython", [work / "beside_cython.cpp"], '-DCYTHON_EXTERN_C=extern "C"')

    def pyo3(self):
        if not shutil.which("cargo") or not any(CRATES.glob("pyo3-[0-9]*")):
            raise Missing("PyO3 is not here")
        if self.python["is_free_threaded"]:
            raise Missing("Debian's PyO3 is built for Pythons with a GIL")
        work = self.folder / "pyo3"
        shutil.copytree(HERE / "pyo3", work / "crate", dirs_exist_ok=True)
        library = BUILD / "capi"
        run("cargo", "build", "--quiet", "--offline", "--manifest-path", work / "crate/Cargo.toml",
            "--config", 'source.crates-io.replace-with="distribution"',
            "--config", f'source.distribution.directory="{CRATES}"',
            env={**os.environ, "CARGO_HOME": str(work / "cargo"), "CARGO_TARGET_DIR": str(work / "target"),
                 "PYO3_PYTHON": self.python["executable"], "PYO3_USE_ABI3_FORWARD_COMPATIBILITY": "1",
                 "PYO3_BUILD_EXTENSION_MODULE": "1",
                 "RUSTFLAGS": f"-L native={library} -C link-arg=-Wl,-rpath,{library}"})
        shutil.copy(work / "target/debug/libbeside_pyo3.so", self.folder / ("beside_pyo3" + self.python["suffix"]))

    def undeclared(self):
        if not self.python["is_free_threaded"]:
            raise Missing("this Python has no GIL to switch on: it is on")
        run(*command("CC", "cc"), "-shared", "-fPIC", "-isystem", self.python["include"], HERE / "undeclared.c",
            "-o", self.folder / ("undeclared" + self.python["suffix"]))

    def build(self, name):
        """Builds one, unless what is there is of the same sources; raises Missing."""
        files = [path for path in sorted(HERE.rglob("*")) + sorted((SOURCE / "include").rglob("*.h*")) if path.is_file()]
        digest = hashlib.sha256(json.dumps(self.python).encode())
        for path in files:
            if "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
        stamp = self.folder / f"{name}.stamp"
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            getattr(self, name)()
            stamp.write_text(digest.hexdigest())


NAMES = ["pybind11", "pybind11_adapters", "nanobind", "nanobind_adapters", "cython", "pyo3", "undeclared"]


def folder_of_python():
    """One a Python, so that a second run builds nothing."""
    return BUILD / "tests/neighbours/modules" / hashlib.sha256(PYTHON.encode()).hexdigest()[:12]


if __name__ == "__main__":
    for each in NAMES:
        try:
            Builder(sys.argv[1]).build(each)
            print(each, "built")
        except Missing as missing:
            print(each, missing)
