"""Compiles and runs what README.md and docs/ show, against the build tree.

A comment above a fenced block says what is done with it, in a folder of its document's own:

    <!-- run NAME.c -->     written to that file, compiled, run with the libpython under test as its argument; also .cpp
    <!-- run sh -->         run by bash, where pkg-config knows the library; also python
    <!-- run cmake -->      run by bash, where CMake's find_package knows it; left out where there is no CMake
    <!-- file NAME -->      written, for the blocks that follow

A block marked "```text output" after one that is run is exactly what it must have printed.
"""

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
from installed import Tree  # noqa: E402

DOCUMENTS = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
DEADLINE_S = 300  # of one command; reached only by a hang
STANDARD = {".c": ("CC", "cc", "-std=c99"), ".cpp": ("CXX", "c++", "-std=c++17")}

BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
MARK = re.compile(r"run (?:sh|cmake|python|[\w+-]+\.(?:c|cpp))|file [\w.]+")


def default_python():
    """The Python under test: what the tests in C++ are told, else what the build was configured with."""
    python = os.environ.get("PYATTACH_TEST_PYTHON") or os.environ["PYATTACH_TEST_DEFAULT_PYTHON"]
    described = subprocess.run([python, SOURCE / "tests/support/describe_python.py"], text=True, check=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
    return Path(python), Path(os.environ.get("PYATTACH_TEST_LIBPYTHON") or described[1])


PYTHON, LIBPYTHON = default_python()
ENVIRONMENT = dict(
    os.environ,
    PKG_CONFIG_PATH=str(BUILD / "meson-uninstalled"),
    LD_LIBRARY_PATH=str(BUILD / "capi"),
    PATH=f"{PYTHON.parent}:{os.environ['PATH']}",
)


def blocks(document):
    """Mark, language, text and line of every fenced block."""
    text = document.read_text()
    return [(found["mark"] or "", found["language"], found["text"], text.count("\n", 0, found.start("language")) + 1)
            for found in BLOCK.finditer(text)]


class Example:
    def __init__(self, folder, mark, text):
        self.verb, self.what = mark.split(" ", 1)
        self.folder, self.text = folder, text

    def run(self):
        """What it printed; "" if there was nothing to run."""
        path = self.folder / self.what
        if self.what == "sh":
            return self.command("bash", "-euo", "pipefail", "-c", self.text)
        if self.what == "cmake":
            if shutil.which("cmake") is None:
                raise unittest.SkipTest("THERE IS NO CMake HERE (on Debian: apt install cmake)")
            with tempfile.TemporaryDirectory(prefix="pyattach-readme-") as folder:
                environment = Tree(Path(folder)).environment()
                return self.command("bash", "-euo", "pipefail", "-c", self.text, environment=environment)
        if self.what == "python":
            return self.command(PYTHON, "-c", self.text)
        path.write_text(self.text)
        if self.verb == "file":
            return ""
        variable, default, standard = STANDARD[path.suffix]
        compiler = shlex.split(os.environ.get(variable) or default)
        program = path.with_suffix(".program")
        self.command(*compiler, standard, "-Wall", "-Wextra", "-Werror", f"-I{SOURCE / 'include'}", path, "-o", program,
                     f"-L{BUILD / 'capi'}", "-lpyattach", "-pthread")
        return self.command(program, LIBPYTHON)

    def command(self, *words, environment=ENVIRONMENT):
        done = subprocess.run([str(word) for word in words], cwd=self.folder, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        if done.returncode != 0:
            raise AssertionError(f"{shlex.join(map(str, words))}\nended with {done.returncode}; it said:\n{done.stdout}{done.stderr}")
        return done.stdout


class ReadmeTest(unittest.TestCase):
    def test_examples_compile_run_and_print_what_is_shown(self):
        for document in DOCUMENTS:
            with tempfile.TemporaryDirectory(prefix="pyattach-readme-") as folder:
                printed = None
                for mark, language, text, line in blocks(document):
                    if language == "text output":
                        with self.subTest(shown=f"{document.name}:{line}"):
                            self.assertEqual(text, printed)
                    printed = None
                    if mark:
                        with self.subTest(example=f"{document.name}:{line}"):
                            self.assertRegex(mark, rf"\A(?:{MARK.pattern})\Z", "an unknown mark")
                            printed = Example(Path(folder), mark, text).run()

    def test_every_program_that_is_shown_is_marked_to_be_run(self):
        for document in DOCUMENTS:
            for mark, language, text, line in blocks(document):
                with self.subTest(block=f"{document.name}:{line}"):
                    if language in ("c", "c++", "cpp", "python", "meson"):
                        self.assertTrue(mark, "no mark above it")

    def test_the_readme_begins_with_an_example_of_some_20_lines_in_c_and_in_cpp(self):
        first = [(mark, text) for mark, language, text, line in blocks(SOURCE / "README.md") if mark][:2]
        self.assertEqual(["run example.c", "run example.cpp"], [mark for mark, text in first])
        for mark, text in first:
            self.assertLessEqual(len(re.findall(r"\S.*\n", text)), 24, mark)

    def test_links_to_files_lead_somewhere(self):
        for document in [*DOCUMENTS, SOURCE / "CONTRIBUTING.md", SOURCE / "CHANGELOG.md", SOURCE / "ARCHITECTURE.md", SOURCE / "SECURITY.md"]:
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text()):
                with self.subTest(document=document.name, target=target):
                    self.assertTrue((document.parent / target).exists())

    def test_every_name_in_a_document_exists(self):
        headers = "\n".join(path.read_text() for path in sorted((SOURCE / "include/pyattach").iterdir()))
        known = set(re.findall(r"\b(?:pyattach|PYATTACH)_\w+", headers))
        known |= set(re.findall(r"\bPYATTACH_TEST_\w+", (SOURCE / "tools/matrix").read_text()))
        known.add("pyattach_dep")  # Meson's
        for document in [*DOCUMENTS, SOURCE / "CONTRIBUTING.md", SOURCE / "SECURITY.md"]:
            for name in sorted(set(re.findall(r"\b(?:pyattach|PYATTACH)_\w+", document.read_text()))):
                with self.subTest(document=document.name, name=name):
                    self.assertIn(name, known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
