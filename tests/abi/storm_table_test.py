"""tools/storm --document: what it makes of the sums of storms, and where it writes that."""

import importlib.machinery
import importlib.util
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
loader = importlib.machinery.SourceFileLoader("storm", str(SOURCE / "tools/storm"))
storm = importlib.util.module_from_spec(importlib.util.spec_from_loader("storm", loader))
loader.exec_module(storm)


def sums(**more):
    return {**dict.fromkeys(("hung", "crashed", "failed", "spoilt", "threads_killed", "threads_hung"), 0), "runs": 9, **more}


class StormTableTest(unittest.TestCase):
    def test_a_cell_says_what_happened_and_nothing_else(self):
        self.assertEqual("0 of 9", storm.cell(sums(), True))
        self.assertEqual("3 of 9: 5 parked", storm.cell(sums(spoilt=3, threads_hung=5), True))
        self.assertEqual("9 of 9: 70 killed, 5 left hanging, 2 crashed, 3 did not end well", storm.cell(
            sums(spoilt=9, threads_killed=70, threads_hung=5, crashed=2, hung=1, failed=2), False))

    def test_a_peer_that_is_not_there_has_no_cell_and_one_that_is_nowhere_no_column(self):
        one = [["C API", False, sums(spoilt=1, threads_killed=1)], ["C API", True, sums()], ["nanobind", "not here"],
               ["Cython", "too old"]]
        other = [["C API", False, sums()], ["C API", True, sums()], ["nanobind", "not here"], ["Cython", False, sums()],
                 ["Cython", True, sums()]]
        self.assertEqual("""\
| CPython | C API | C API, routed | Cython | Cython, routed |
|---|---|---|---|---|
| 3.9 | 1 of 9: 1 killed | 0 of 9 | - | - |
| 3.13 | 0 of 9 | 0 of 9 | 0 of 9 | 0 of 9 |""", storm.table([["3.9", one], ["3.13", other]]))

    def test_it_writes_between_the_marks_of_the_page_and_nowhere_else(self):
        text = (SOURCE / "docs/evidence.md").read_text()
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, "page.md")
            page.write_text(text)
            storm.document(page, "the table")
            before, _, rest = text.partition(storm.BEGIN)
            after = rest.partition(storm.END)[2]
            self.assertTrue(before and after)
            self.assertEqual(f"{before}{storm.BEGIN}\n\nthe table\n\n{storm.END}{after}", page.read_text())
            page.write_text("no marks")
            with self.assertRaises(SystemExit):
                storm.document(page, "the table")


if __name__ == "__main__":
    unittest.main(verbosity=2)
