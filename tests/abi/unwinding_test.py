"""tools/unwinding.py refuses each line of unwinding/bad.cpp that says so, and no other."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BAD = "tests/abi/unwinding/bad.cpp"
OPTIONS = ["-std=c++17", "-Iinclude", "-Isrc"]


def findings(*sources):
    done = subprocess.run([sys.executable, "-B", "tools/unwinding.py", *sources, "--", *OPTIONS], cwd=SOURCE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


class UnwindingTest(unittest.TestCase):
    def test_what_is_refused(self):
        wanted = {(number, kind) for number, line in enumerate((SOURCE / BAD).read_text().split("\n"), 1)
                  for kind in re.findall(r"// finding: (\w+)$", line)}
        self.assertGreater(len(wanted), 10)
        status, said, _ = findings(BAD)
        self.assertEqual(status, 1)
        found = {(int(number), kind) for number, kind in re.findall(rf"^{BAD}:(\d+): (\w+): ", said, re.M)}
        self.assertEqual(found, wanted, said)

    def test_each_is_one_sentence_that_says_what_to_do(self):
        said = findings(BAD)[1].split("\n")[:-1]
        for line in said:
            self.assertRegex(line, r"ends a thread that it refuses by unwinding its stack.*(call it inside|Let it live outside)")
        places = [line.split(": ")[0] for line in said]
        self.assertEqual(len(places), len(set(places)), "a line is named twice")

    def test_what_cannot_be_read_is_no_success(self):
        status, said, why = findings("tests/abi/unwinding/missing.cpp")
        self.assertNotEqual(status, 0)
        self.assertEqual(said, "")
        self.assertIn("missing.cpp", why)


if __name__ == "__main__":
    try:
        import clang.cindex
        clang.cindex.Index.create()
    except Exception as error:
        print("skipped: libclang's Python module is not here:", error)
        sys.exit(77)
    unittest.main()
