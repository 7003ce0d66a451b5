"""That a broken example in a document is noticed: each kind of it, once whole and once broken."""

import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import examples
from examples import DocumentTest

PROGRAM = "#include <stdio.h>\nint main(void) { puts(\"yes\"); return 0; }\n"
FUNCTION = "#include <pyattach/pyattach.h>\nint f(void);\nint f(void) { return pyattach_is_attached(); }\n"
MODULE = """#define PY_SSIZE_T_CLEAN
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "one", 0, 0, 0, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit_one(void) { return PyModule_Create(&module); }
"""


def block(mark, text, language="c"):
    return f"<!-- {mark} -->\n```{language}\n{text}```\n\n"


def output(text):
    return f"```text output\n{text}```\n"


def problems(text):
    """How many examples of a document fail, and why others are skipped."""

    class Checked(DocumentTest):
        def runTest(self):
            with tempfile.TemporaryDirectory() as folder:
                document = Path(folder, "document.md")
                document.write_text(text)
                self.check(document)

    result = unittest.TestResult()
    Checked().run(result)
    return len(result.failures) + len(result.errors), [reason for _, reason in result.skipped]


class BrokenTest(unittest.TestCase):
    def check_skipped(self, number, text):
        failed, skipped = problems(text)
        self.assertEqual((0, number), (failed, len(skipped)), skipped)

    def check(self, whole, broken):
        failed, skipped = problems(whole)
        if skipped:
            self.skipTest(skipped[0])
        self.assertEqual(0, failed, whole)
        self.assertEqual((1, []), problems(broken), broken)

    def test_a_program_that_does_not_compile(self):
        self.check(block("run one.c", PROGRAM), block("run one.c", PROGRAM.replace("puts", "put_s")))

    def test_a_program_that_warns(self):
        self.check(block("run one.c", PROGRAM), block("run one.c", PROGRAM.replace("{", "{ int unused;")))

    def test_a_program_that_fails(self):
        self.check(block("run one.c", PROGRAM), block("run one.c", PROGRAM.replace("return 0", "return 1")))

    def test_a_program_that_prints_something_else(self):
        whole = block("run one.c", PROGRAM) + output("yes\n")
        self.check(whole, whole.replace("text output\nyes", "text output\nno"))

    def test_code_that_is_only_compiled(self):
        self.check(block("compile one.c", FUNCTION), block("compile one.c", FUNCTION.replace("is_attached", "is_here")))

    def test_code_beside_other_headers(self):
        for whose in "python", "pybind11":
            code = f"#include <{whose}/pybind11.h>\n" if whose == "pybind11" else "#include <Python.h>\n"
            code += "PyObject *f(PyObject *);\nPyObject *f(PyObject *o) { return o; }\n"
            with self.subTest(whose=whose):
                self.check(block(f"compile one.cpp beside {whose}", code),
                           block(f"compile one.cpp beside {whose}", code.replace("return o", "return p")))

    def test_a_module(self):
        use = block("run python", "import one\nprint(one.__name__)\n", "python") + output("one\n")
        whole = block("module one.c beside python", MODULE) + use
        self.check(whole, whole.replace("__name__", "name"))

    def test_a_module_in_cython(self):
        module = block("module one.pyx", "cimport pyattach\ndef version():\n    return pyattach.pyattach_version() > 0\n", "cython")
        whole = module + block("run python", "import one\nprint(one.version())\n", "python") + output("True\n")
        self.check(whole, whole.replace("output\nTrue", "output\nFalse"))
        self.check(module, module.replace("pyattach_version", "pyattach_versions"))
        self.check(module, module.replace("module one", "compile one"))

    def test_what_uses_a_module_that_was_skipped_is_skipped_and_nothing_else_is(self):
        use = block("run python", "import sys, one\nprint(one.__name__)\n", "python") + output("one\n")
        others = block("run python", "print('one')\n", "python") + output("one\n") + block("run one.c", PROGRAM)
        examples.headers.cache_clear()
        self.addCleanup(examples.headers.cache_clear)
        with mock.patch.dict(examples.PROBES, {"python": "#error\n"}):
            self.check_skipped(2, block("module one.c beside python", MODULE) + use + others)
            # By what the skipped one would have made, which the second would have used, the third goes, too.
            self.check_skipped(3, block("run one.c beside python", PROGRAM) + block("run sh", "./one.program > said\n", "sh")
                               + block("run sh", "cat ./said\n", "sh") + others)

    def test_what_uses_a_folder_that_was_not_made_is_skipped_and_nothing_else_is(self):
        others = block("run sh", "mkdir folder\n", "sh")
        which = shutil.which
        with mock.patch.object(examples.shutil, "which", lambda name: None if name == "cmake" else which(name)):
            self.check_skipped(2, block("run cmake", "cmake -S . -B build-cmake\n", "sh")
                               + block("run sh", "build-cmake/example\n", "sh") + others)

    def test_a_shell_command(self):
        self.check(block("run sh", "test -n x\n", "sh"), block("run sh", "test -n ''\ntrue\n", "sh"))

    def test_a_command_that_others_are_said_to_run(self):
        whole = block("elsewhere: .ci/run", "tools/test    # all\n", "sh")
        self.check(whole, whole.replace("tools/test ", "tools/tests "))

    def test_an_unknown_mark(self):
        self.check(block("theirs: Rust", "fn\n", "rust"), block("their Rust", "fn\n", "rust"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
