"""What a document shows, compiled and run against the build tree.

A comment above a fenced block says what is done with it, in a folder of its document's own:

    <!-- run NAME.c -->         written to that file, compiled, run with the libpython under test as its argument; also .cpp
    <!-- run sh -->             run by bash, where pkg-config knows the library; also python
    <!-- run cmake -->          run by bash, where CMake's find_package knows it; skipped where there is no CMake or make
    <!-- compile NAME.c -->     written and compiled only; also .cpp
    <!-- module NAME.cpp -->    made an extension module, which a `run python` that follows can import; also .c and .pyx (Cython)
    <!-- file NAME -->          written, for the blocks that follow
    <!-- theirs: WHOSE -->      code of others that cannot be compiled here: nothing is done with it
    <!-- elsewhere: FILE -->    what that file of the project runs, every word of it: nothing is done with it here

`compile`, `module` and `run NAME` may end in "beside python", "beside pybind11" or "beside nanobind": compiled with those
headers, and skipped if they are not there. With a block that is skipped go those that name what it would have made: the module they
import, the program or the folder that their commands use. A block marked "```text output" after one that is run is exactly what it must have printed.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ["PYATTACH_TEST_BUILD"])
sys.path.insert(1, str(SOURCE / "tests/abi/consumers"))
from consumers import compile_cython, cython  # noqa: E402
from installed import Tree  # noqa: E402

DEADLINE_S = 300  # of one command; reached only by a hang
COMPILERS = {".c": ("CC", "cc", "-std=c99"), ".cpp": ("CXX", "c++", "-std=c++17")}
PROBES = {"python": "#include <Python.h>\n", "pybind11": "#include <pybind11/pybind11.h>\n",
          "nanobind": "#include <nanobind/nanobind.h>\n"}
NANOBIND = Path("/usr/share/nanobind")  # where Debian has its headers, and the source of its library

BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
MARK = re.compile(r"run (?P<shell>sh|python|cmake)"
                  r"|(?P<verb>run|compile|module) (?P<name>[\w+-]+\.(?:c|cpp|pyx))(?: beside (?P<beside>python|pybind11|nanobind))?"
                  r"|file (?P<file>[\w.]+)|theirs: (?P<whose>.+)|elsewhere: (?P<where>\S+)")


class Skipped(Exception):
    """What an example needs is not on this machine."""


def run(folder, *words, env=None):
    """What a command printed, which has to end well."""
    done = subprocess.run([str(word) for word in words], cwd=folder, env=env or environment(), text=True, timeout=DEADLINE_S,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, words))}\nended with {done.returncode}; it said:\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


@functools.lru_cache(maxsize=None)
def python():
    """The Python under test and its library: what the tests in C++ are told, else what the build was configured with."""
    name = os.environ.get("PYATTACH_TEST_PYTHON") or os.environ["PYATTACH_TEST_DEFAULT_PYTHON"]
    said = subprocess.run([name, SOURCE / "tests/support/describe_python.py"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.splitlines()
    return Path(name), Path(os.environ.get("PYATTACH_TEST_LIBPYTHON") or said[1])


@functools.lru_cache(maxsize=None)
def environment():
    return dict(os.environ, PKG_CONFIG_PATH=str(BUILD / "meson-uninstalled"), LD_LIBRARY_PATH=str(BUILD / "capi"),
                PATH=f"{python()[0].parent}:{os.environ['PATH']}")


def compiler_for(path):
    variable, default, standard = COMPILERS[path.suffix]
    return [*shlex.split(os.environ.get(variable) or default), standard]


@functools.lru_cache(maxsize=None)
def headers(whose):
    """Flags for the headers of others. They have to compile with the Python under test, or they are as good as not there."""
    if whose is None:
        return []
    include, _ = run(None, python()[0], SOURCE / "examples/python_headers.py").split()
    flags = ["-isystem", include]
    if whose == "nanobind":
        flags += ["-isystem", str(NANOBIND / "include"), "-isystem", str(NANOBIND / "ext/robin_map/include")]
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.cpp")
        probe.write_text(PROBES[whose])
        try:
            run(folder, *compiler_for(probe), "-fsyntax-only", *flags, probe)
        except AssertionError:
            # Python brings its own headers, and not every Debian has nanobind.
            is_here = whose != "pybind11" or any(Path(folder, whose).exists() for folder in (include, "/usr/include"))
            where = "" if is_here else f" (on Debian: apt install {whose}-dev)"
            raise Skipped(f"{python()[0]} HAS NO HEADERS OF {whose} that compile{where}") from None
    return flags


def nanobind_library(folder):
    """nanobind's own part of a module, which each module compiles."""
    threaded = run(None, python()[0], "-c", "import sysconfig; print(int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))")
    target = folder / "nanobind.o"
    run(folder, *compiler_for(Path("nb_combined.cpp")), "-w", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing",
        *headers("nanobind"), *(["-DNB_FREE_THREADED=1"] if threaded.strip() == "1" else []), "-c",
        NANOBIND / "src/nb_combined.cpp", "-o", target)
    return target


def blocks(document):
    """Mark, language, text and line of every fenced block."""
    text = document.read_text()
    return [(found["mark"] or "", found["language"], found["text"], text.count("\n", 0, found.start("language")) + 1)
            for found in BLOCK.finditer(text)]


def compiled(folder, text, verb, name, beside):
    """What it printed, if it was run."""
    path = folder / name
    path.write_text(text)
    warnings = ["-Wall", "-Wextra", "-Werror"]
    if path.suffix == ".pyx":
        assert verb == "module", f"Cython makes a module, and {name} is marked {verb}"
        if isinstance(cython(), str):
            raise Skipped(cython())
        # What Cython writes is not written for our warnings.
        path, beside, warnings = path.with_suffix(".c"), "python", ["-std=gnu99", "-w"]
        compile_cython(folder / name, SOURCE / "capi/cython", path)
    compile_it = [*compiler_for(path), *warnings, f"-I{SOURCE / 'include'}", *headers(beside)]
    if verb == "compile":
        return run(folder, *compile_it, "-fsyntax-only", path)
    link = [f"-L{BUILD / 'capi'}", "-Wl,--as-needed", "-lpyattach", "-ldl", "-pthread"]
    if verb == "module":
        _, suffix = run(folder, python()[0], SOURCE / "examples/python_headers.py").split()
        library = [nanobind_library(folder)] if beside == "nanobind" else []
        return run(folder, *compile_it, "-shared", "-fPIC", "-fvisibility=hidden", path, *library, "-o", path.stem + suffix, *link)
    program = path.with_suffix(".program")
    run(folder, *compile_it, path, "-o", program, *link)
    return run(folder, program, python()[1])


def named_by(commands):
    """The words that may be files or folders, with the folder they are in and without their ending."""
    for word in re.findall(r"(?<![\w./+-])[\w.][\w./+-]*", commands):
        path = Path(word)
        if path.name:
            yield from {path.parts[0], path.name, path.stem}


def made_by(mark, text):
    """What a block that is skipped leaves unmade, by name: a module, a program, or what its commands name and is no command."""
    meant = MARK.fullmatch(mark)
    return {Path(meant["name"]).stem} if meant["name"] else {name for name in named_by(text) if not shutil.which(name)}


def used_by(mark, text):
    """What a block needs that an earlier one may have made, by name. What is compiled needs only files, which are always written."""
    shell = (MARK.fullmatch(mark) or {"shell": None})["shell"]
    if shell == "python":
        return {name for line in re.findall(r"^\s*(?:import|from)\s+(.+)", text, re.M) for name in re.findall(r"\w+", line)}
    return set(named_by(text)) if shell else set()


def act(folder, mark, text):
    """Does what the mark says; returns what was printed."""
    meant = MARK.fullmatch(mark)
    assert meant, f"an unknown mark: {mark}"
    if meant["name"]:
        return compiled(folder, text, meant["verb"], meant["name"], meant["beside"])
    bash = "bash", "-euo", "pipefail", "-c", text
    if meant["shell"] == "sh":
        return run(folder, *bash)
    if meant["shell"] == "cmake":
        if not shutil.which("cmake") or not shutil.which("make"):
            raise Skipped("THERE IS NO CMake HERE, or no make (on Debian: apt install cmake make)")
        with tempfile.TemporaryDirectory(prefix="pyattach-readme-") as tree:
            return run(folder, *bash, env=Tree(Path(tree)).environment())
    if meant["shell"] == "python":
        return run(folder, python()[0], "-c", text)
    if meant["file"]:
        (folder / meant["file"]).write_text(text)
    if meant["where"]:
        there = (SOURCE / meant["where"]).read_text()
        for line in text.splitlines():
            command = line.partition("#")[0].strip()
            assert command in there, f"{meant['where']} does not run: {command}"
    return ""


class DocumentTest(unittest.TestCase):
    """A test case with documents."""

    def check(self, document):
        """Every example does what its document says."""
        with tempfile.TemporaryDirectory(prefix="pyattach-readme-") as folder:
            printed, unmade = None, {}
            for mark, language, text, line in blocks(document):
                if language == "text output" and printed is not None:
                    with self.subTest(shown=f"{document.name}:{line}"):
                        self.assertEqual(text, printed)
                elif language == "text output":
                    pass  # of an example that failed or was skipped, which has been told
                elif mark:
                    printed = None
                    with self.subTest(example=f"{document.name}:{line}"):
                        try:
                            for name in sorted(used_by(mark, text) & unmade.keys()):
                                raise Skipped(f"{unmade[name]}, so {name} was not made")
                            printed = act(Path(folder), mark, text)
                        except Skipped as why:
                            unmade.update(dict.fromkeys(made_by(mark, text) - unmade.keys(), str(why)))
                            self.skipTest(str(why))
