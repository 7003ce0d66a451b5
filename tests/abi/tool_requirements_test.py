"""tools/common.sh: what a command needs has to be there, and what tests want has not."""

import subprocess
import unittest
from pathlib import Path

COMMON = Path(__file__).resolve().parents[2] / "tools/common.sh"
MISSING = """
has_spin() { [[ -v installed && $installed == *spin* ]]; }
has_cmake() { [[ -v installed && $installed == *cmake* ]]; }
has_valgrind() { true; }
"""
NO_ROOT = "can_install() { false; }\n"
ROOT = 'can_install() { true; }\ninstall_packages() { echo "installs $*" && installed="$*"; }\n'
ROOT_WITHOUT_A_MIRROR = "can_install() { true; }\ninstall_packages() { return 100; }\n"


def run(*lines):
    script = f"set -euo pipefail\nsource '{COMMON}'\n{MISSING}" + "".join(lines)
    return subprocess.run(["bash", "-c", script, "tools/test"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class NeedsTest(unittest.TestCase):
    line = ("test: some tests will be skipped for want of spin cmake; on Debian or Ubuntu:  "
            "sudo apt-get install spin cmake make\n")

    def test_what_is_wanted_is_named_in_one_line_where_it_cannot_be_installed_and_the_command_goes_on(self):
        done = run(NO_ROOT, "want_packages spin valgrind cmake\necho went on\n")
        self.assertEqual((0, "went on\n", self.line), (done.returncode, done.stdout, done.stderr))

    def test_what_is_wanted_is_installed_as_root(self):
        done = run(ROOT, "want_packages spin valgrind cmake\necho went on\n")
        self.assertEqual((0, "installs spin cmake make\nwent on\n", ""), (done.returncode, done.stdout, done.stderr))

    def test_what_is_wanted_and_cannot_be_had_is_named_and_the_command_goes_on(self):
        done = run(ROOT_WITHOUT_A_MIRROR, "want_packages spin valgrind cmake\necho went on\n")
        self.assertEqual((0, "went on\n"), (done.returncode, done.stdout))
        self.assertTrue(done.stderr.endswith(self.line), done.stderr)

    def test_nothing_is_said_where_nothing_is_missing(self):
        done = run(NO_ROOT, "want_packages valgrind\nneed_packages valgrind\n")
        self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))

    def test_what_is_needed_ends_the_command_where_it_cannot_be_installed(self):
        done = run(NO_ROOT, "need_packages spin valgrind\necho went on\n")
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertIn("test: missing: spin\ntest: on Debian or Ubuntu:  sudo apt-get install spin\n", done.stderr)

    def test_what_is_needed_is_installed_as_root(self):
        done = run(ROOT, "need_packages spin valgrind\necho went on\n")
        self.assertEqual((0, "installs spin\nwent on\n", ""), (done.returncode, done.stdout, done.stderr))


if __name__ == "__main__":
    unittest.main(verbosity=2)
