"""The binary interface is that of the last version, and tools/abi would notice if it were not.

It is told, through the environment: PYATTACH_TEST_LIBRARY, the shared library. For what a change would do, the library's own dump is
changed the other way round, and taken for that of the last version.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
LIBRARY = Path(os.environ["PYATTACH_TEST_LIBRARY"])


def abi(*words):
    return subprocess.run([sys.executable, "-B", SOURCE / "tools/abi", *words, LIBRARY], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def dump_of_library():
    with tempfile.NamedTemporaryFile("r", suffix=".abi") as file:
        done = abi("--amend", "--against", file.name)
        if done.returncode == 77:
            print(done.stdout)
            sys.exit(77)
        return file.read()


DUMP = dump_of_library()
LAST = re.search(r"libpyattach (\d+\.\d+\.\d+),", DUMP)[1]
MAJOR, MINOR, _ = map(int, LAST.split("."))
NEXT = f"{MAJOR}.{MINOR + 1}.0"
BROKEN, ADDED, FINE = "break", "was added since", "nothing has changed"


def without_function(name):
    """As if the function were new."""
    text = re.sub(rf"    <elf-symbol name='{name}' .*\n", "", DUMP)
    return re.sub(rf"      <function-decl name='{name}'.*?</function-decl>\n|    <function-decl name='{name}'.*?</function-decl>\n", "",
                  text, flags=re.S)


def replaced(old, new):
    text, times = re.subn(old, new, DUMP, flags=re.S)
    assert times == 1, f"{times} times in the dump: {old}"
    return text


class AbiTest(unittest.TestCase):
    def compare(self, dump, *words):
        with tempfile.NamedTemporaryFile("w", suffix=".abi") as file:
            file.write(dump)
            file.flush()
            return abi("--against", file.name, *words)

    def check(self, dump, expect, *words):
        done = self.compare(dump, *words)
        self.assertIn(expect, done.stdout)
        self.assertEqual(0 if expect == FINE else 1, done.returncode, done.stdout)

    def test_it_is_that_of_the_last_version(self):
        done = abi()
        self.assertEqual(0, done.returncode, done.stdout)

    def test_a_function_that_is_gone_is_a_break(self):
        gone = re.search(r"    <elf-symbol name='pyattach_import'.*\n", DUMP)[0]
        dump = DUMP.replace(gone, gone + gone.replace("pyattach_import", "pyattach_is_gone"))
        self.check(dump, BROKEN)
        self.check(dump, BROKEN, "--version", NEXT)

    def test_a_scope_of_another_size_is_a_break(self):
        self.check(replaced("(name='pyattach_attached' size-in-bits=)'512'", r"\1'576'"), BROKEN)

    def test_another_parameter_is_a_break(self):
        self.check(replaced(r"(<function-decl name='pyattach_set_drain_budget'.*?<parameter type-id=)'\w+'(.*?</function-decl>)",
                            lambda found: f"{found[1]}'{self.type_of('double')}'{found[2]}"), BROKEN)

    def test_a_status_with_another_value_is_a_break(self):
        self.check(replaced("(name='PYATTACH_INVALID' value=)'10'", r"\1'11'"), BROKEN)

    def test_a_member_that_moves_in_a_struct_that_grows_is_a_break(self):
        self.check(replaced("(layout-offset-in-bits=)'192'(>\\s*<var-decl name='isolated')", r"\1'224'\2"), BROKEN)

    def test_a_break_needs_a_new_soname_and_a_new_minor_version(self):
        dump = replaced("(name='pyattach_attached' size-in-bits=)'512'", r"\1'576'")
        newer = re.sub(r"soname='libpyattach\.so\.\d+'", "soname='libpyattach.so.old'", dump)
        self.check(dump, BROKEN, "--version", NEXT)
        self.check(newer, BROKEN)
        self.assertEqual(0, self.compare(newer, "--version", NEXT).returncode)

    def test_a_new_function_needs_a_new_minor_version(self):
        self.check(without_function("pyattach_import"), ADDED)

    def test_a_new_function_is_exported_under_the_new_version(self):
        dump = without_function("pyattach_import")
        self.check(dump, f"pyattach_import: exported as if {LAST} had had it", "--version", NEXT)
        # As if all that is left had been in an older version than the new function.
        done = self.compare(re.sub(r"version='PYATTACH_[0-9.]+'", "version='PYATTACH_0.0'", dump), "--version", NEXT)
        self.assertNotIn("as if", done.stdout)

    def test_a_new_status_needs_a_new_minor_version(self):
        dump = replaced(r"      <enumerator name='PYATTACH_INVALID' value='10'/>\n", "")
        self.check(dump, ADDED)
        self.assertEqual(0, self.compare(dump, "--version", NEXT).returncode)

    def test_a_struct_that_begins_with_its_size_may_grow_at_its_end_in_a_new_minor_version(self):
        dump = replaced(r"      <data-member access='public' layout-offset-in-bits='\d+'>\s*<var-decl name='install_signal_handlers'.*?"
                        "</data-member>\n", "")
        self.check(dump, ADDED)
        self.assertEqual(0, self.compare(dump, "--version", NEXT).returncode)

    def test_an_update_is_refused_where_the_comparison_fails(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".abi") as file:
            file.write(without_function("pyattach_import"))
            file.flush()
            self.assertEqual(1, abi("--update", "--against", file.name).returncode)
            self.assertNotIn("pyattach_import'", Path(file.name).read_text())
            self.assertEqual(0, abi("--amend", "--against", file.name).returncode)
            self.assertIn("pyattach_import'", Path(file.name).read_text())

    def type_of(self, name):
        return re.search(rf"<type-decl name='{name}' .*?id='(\w+)'", DUMP)[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
