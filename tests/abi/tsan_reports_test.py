"""tools/tsan_reports.py drops what is of CPython alone, and nothing else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "tsan_reports.py"
RULE = "=" * 18 + "\n"
FREE = "    #0 free <null> (storm+0x1) (BuildId: 1)\n"
CPYTHON = "    #1 free_threadstate /cpython/Python/pystate.c:1 (libpython3.13t.so.1.0+0x2) (BuildId: 2)\n"
OURS = "    #1 pyattach::stop() /src/lifecycle/exit.cpp:2 (libpyattach.so.0+0x3) (BuildId: 3)\n"

MODULES = ["    #1 call /src/objects/call.cpp:3 (" + name + ".cpython-313t-x86_64-linux-gnu.so+0x4)\n" for name in ("_ctypes", "executor")]


def race(one, two, title="data race"):
    return (f"{RULE}WARNING: ThreadSanitizer: {title} (pid=1)\n  Write of size 8 at 0x1 by main thread:\n{FREE}{one}\n"
            f"  Previous atomic read of size 8 at 0x1 by thread T1:\n{two}\n"
            f"  Location is heap block of size 8 at 0x1 allocated by thread T1:\n{OURS}\nSUMMARY: ThreadSanitizer: {title}\n{RULE}")


def leak(maker):
    return (f"{RULE}WARNING: ThreadSanitizer: thread leak (pid=1)\n  Thread T1 (tid=2, finished) created by main thread at:\n"
            f"{FREE}{maker}{OURS}\nSUMMARY: ThreadSanitizer: thread leak\n{RULE}")


class TsanReportsTest(unittest.TestCase):
    def kept(self, *reports):
        """The numbers of those that are kept, of one file."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "report.1")
            log.write_text("".join(reports) + f"ThreadSanitizer: reported {len(reports)} warnings\n")
            done = subprocess.run([sys.executable, TOOL, folder], check=True, capture_output=True, text=True)
            rest = log.read_text() if log.exists() else ""
        self.assertIn(f"{len(reports) - rest.count('WARNING')} reports are of CPython alone", done.stdout)
        return [number for number, report in enumerate(reports) if report[len(RULE):-len(RULE)] in rest]

    def test_a_race_of_cpython_with_itself_goes(self):
        self.assertEqual(self.kept(race(CPYTHON + OURS, CPYTHON + OURS)), [])

    def test_a_race_with_one_access_of_ours_stays(self):
        self.assertEqual(self.kept(race(OURS + CPYTHON, CPYTHON), race(CPYTHON, CPYTHON), race(CPYTHON, OURS + CPYTHON)), [0, 2])

    def test_a_side_that_is_not_known_stays(self):
        self.assertEqual(self.kept(race(CPYTHON, "    [failed to restore the stack]\n")), [0])

    def test_an_extension_module_is_cpythons_only_by_its_name(self):
        self.assertEqual(self.kept(*(race(module, CPYTHON) for module in MODULES)), [1])

    def test_what_is_no_race_stays(self):
        self.assertEqual(self.kept(race(CPYTHON, CPYTHON, "heap-use-after-free")), [0])

    def test_a_thread_that_nobody_joins_goes_if_cpython_made_it(self):
        self.assertEqual(self.kept(leak(CPYTHON), leak(OURS)), [1])


if __name__ == "__main__":
    unittest.main()
