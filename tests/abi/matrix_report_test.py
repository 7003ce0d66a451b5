"""tools/matrix --document: the table in docs/evidence.md is that of a run in which all was there and nothing failed."""

import collections
import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools"))
import matrix_report

Row = collections.namedtuple("Row", "name version flags")
WELL = "All tests passed (7 assertions in 3 test cases)\n"
ONE_FAILED = "test cases: 3 | 2 passed | 1 failed\n"


class MatrixReportTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.page = Path(self.folder.name, "evidence.md")
        self.page.write_text(f"before\n\n{matrix_report.BEGIN}\n\nold\n\n{matrix_report.END}\n\nafter\n")

    def run_of(self, *outputs):
        """Of the suite api on a Python each, and one skipped test of the suite models on the first."""
        summary = matrix_report.Summary(self.folder.name, ["api", "models"], 60)
        for number, output in enumerate(outputs):
            row = Row(f"python-{number}", f"3.1{number}.0", "ft,debug" if number else "gil")
            results = [{"suite": "api", "test": "pool", "status": int(output != WELL), "output": output}]
            results += [{"suite": "models", "test": "gate", "status": matrix_report.SKIPPED, "output": ""}] * (number == 0)
            by_suite = collections.defaultdict(lambda: (0, 0, 0))
            with contextlib.redirect_stdout(io.StringIO()):
                for result in results:
                    by_suite[result["suite"]] = matrix_report.add(by_suite[result["suite"]], summary.add_test(row, result))
            summary.table.add(row, by_suite, 1)
        return summary

    def test_the_table_and_the_sum_are_written_between_the_marks(self):
        self.assertTrue(matrix_report.document(self.page, self.run_of(WELL, WELL)))
        self.assertEqual(self.page.read_text(), f"""before

{matrix_report.BEGIN}

6 passed, none failed, 1 skipped.

| Python | build | api | models | seconds |
|---|---|---|---|---|
| 3.10.0 | GIL | 3 | 0 +1 skipped | 1 |
| 3.11.0 | free-threaded, debug | 3 | 0 | 1 |

{matrix_report.END}

after
""")

    def test_nothing_is_written_if_a_test_failed_or_none_passed_or_a_python_is_missing(self):
        before = self.page.read_text()
        missing = self.run_of(WELL)
        missing.miss_python("chroot-3.15")
        for summary in (self.run_of(WELL, ONE_FAILED), self.run_of(), missing):
            self.assertFalse(matrix_report.document(self.page, summary))
            self.assertIn("evidence.md is left as it is", summary.notes[-1])
        self.assertEqual(self.page.read_text(), before)

    def test_the_sum_says_how_many_were_skipped_for_want_of_packages(self):
        summary = self.run_of(WELL)
        unittest_says = "test_a (A) ... skipped 'NONE HERE (on Debian: apt install cmake)'\ntest_b (A) ... skipped 'AS ALWAYS'\nRan 2 tests in 1.0s\n\nOK (skipped=2)\n"
        catch_says = "numpy: SKIPPED:\nNo module named 'numpy' (on Debian: apt install python3-numpy)\n"
        for status, output in ((0, unittest_says), (77, catch_says), (77, "first line\nthere is no spin (on Debian: apt install spin cmake)\n")):
            summary.add_test(Row("default", "", ""), {"suite": "api", "test": "pool", "status": status, "output": output})
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            summary.print()
        self.assertIn("\n3 of the skipped want packages: on Debian or Ubuntu  sudo apt-get install cmake python3-numpy spin\n"
                      "3 passed, 0 failed, 5 skipped\n", printed.getvalue())
        self.assertIn("\n    there is no spin (on Debian: apt install spin cmake)\n", printed.getvalue())
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.run_of(WELL).print()
        self.assertNotIn("packages", printed.getvalue())

    def test_a_page_without_the_marks_is_refused(self):
        self.page.write_text("text\n")
        with self.assertRaises(SystemExit):
            matrix_report.document(self.page, self.run_of(WELL))

    def test_the_page_has_the_marks_and_the_sum_of_its_table(self):
        page = (SOURCE / "docs/evidence.md").read_text()
        written = re.findall(re.escape(matrix_report.BEGIN) + "(.*?)" + re.escape(matrix_report.END), page, re.DOTALL)
        self.assertEqual(len(written), 1)
        rows = [line.split("|")[3:-2] for line in written[0].splitlines() if line.startswith("| 3.")]
        passed = sum(int(cell.split()[0]) for row in rows for cell in row if cell.strip())
        self.assertIn(f"\n{passed} passed, none failed, ", written[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
