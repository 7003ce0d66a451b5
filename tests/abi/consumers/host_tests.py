"""What a user of the plugin host sees."""

import json
import os
import pty
from pathlib import Path

from consumers import PYTHON, SOURCE, needed, run

GOOD = """\
import os

def plain():
    def inner(): return lambda: None
    class Local: pass

async def coroutine():
    async with os: pass

class Outer:
    def method(self):
        if self:
            class InIf: pass
        elif plain:
            def in_elif(): pass
        else:
            def in_else(): pass
    for _ in (): pass
    else:
        def in_for_else(): pass
    try:
        def in_try(): pass
    except ValueError:
        def in_except(): pass
    finally:
        with os:
            async def in_finally(): pass
"""  # 10 functions and 3 classes on 27 lines
COUNTED = {"files": 5, "functions": 12, "classes": 3, "lines": 32, "rejected": 3, "dropped": 5, "released": 5}

COUNT_LIBRARY = """
import os, sysconfig
library, files = sysconfig.get_path("stdlib"), 0
for place, inside, names in os.walk(library):
    inside[:] = [name for name in inside if name not in ("site-packages", "dist-packages")]
    files += sum(name.endswith(".py") for name in names)
print(library, files, sep="\\n")
"""


def write_sources(folder):
    """Every kind of file the host may meet; COUNTED says what it must find."""
    files = {
        "good.py": GOOD.encode(),
        "empty.py": b"",
        "latin.py": "# coding: latin-1\ndef \xe9t\xe9(): pass\n".encode("latin-1"),
        "crlf.py": b"\xef\xbb\xbfdef f():\r\n    pass",
        "folder.py/deep/inside.py": b"1\n",
        "broken.py": b"def broken(:\n",
        "binary.py": b"a = 1\0\n",
        "notes.txt": b"def no_source(): pass\n",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "dangling.py").symlink_to("nowhere")
    (folder / "round").symlink_to(".")
    return folder


def rows(output):
    """The table, one dict a line, numbers as they are printed."""
    lines = output.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ["threads"])
    names = lines[head].split()
    found = []
    for line in lines[head + 1:]:
        if not line.strip():
            break
        found.append(dict(zip(names, line.split())))
    return found


class HostTests:
    def test_neither_the_host_nor_the_plugin_links_libpython(self):
        self.assertEqual([], [name for name in needed(self.host) if "python" in name or "pyattach" in name])
        self.assertEqual(["libpyattach.so.0"], [name for name in needed(self.plugin) if "py" in name])

    def test_every_thread_count_finds_the_same_and_releases_what_it_drops(self):
        sources = write_sources(self.folder / "sources")
        done = self.run_host("--threads", "1,2,7", sources)
        self.assertEqual(["1", "2", "7"], [row["threads"] for row in rows(done.stdout)])
        for row in rows(done.stdout):
            self.assertEqual(COUNTED, {name: int(row[name]) for name in COUNTED})
        self.assertIn("Everything dropped was released, and Python has ended.", done.stdout)

    def test_where_threads_take_turns_the_host_says_so(self):
        sources = self.folder / "turns"
        sources.mkdir()
        (sources / "one.py").write_text("1")
        question = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') == 1)"
        is_free_threaded = run(PYTHON, "-c", question).stdout == "True\n"
        several, alone = (self.run_host("--threads", threads, sources).stdout for threads in ("1,2", "2"))
        self.assertEqual(not is_free_threaded, "This Python has one lock for all threads" in several)
        self.assertNotIn("one lock", alone)

    def test_a_trace_is_written_where_it_can_be(self):
        sources = write_sources(self.folder / "traced")
        words = "--threads", "2", "--trace"
        for name in "trace.html", "trace.json", "trace.perfetto":
            self.run_host(*words, self.folder / name, sources)
        self.assertIn('<script id="trace"', (self.folder / "trace.html").read_text())
        events = json.loads((self.folder / "trace.json").read_text())["traceEvents"]
        self.assertTrue(any(event.get("cat") == "attached" for event in events))
        self.assertIn(b"attached", (self.folder / "trace.perfetto").read_bytes())
        done = self.run_host(*words, self.folder / "no/such/folder", sources, expect=1)
        self.assertIn("cannot be written: No such file or directory", done.stderr)

    def test_files_that_cannot_be_counted_are_named_once_with_the_reason(self):
        sources = write_sources(self.folder / "rejected")
        said = sorted(self.run_host("--threads", "1,2", sources).stderr.splitlines())
        self.assertEqual(3, len(said), said)
        for line, name, reason in zip(said, ("binary", "broken", "dangling"), ("null bytes", "SyntaxError", "No such")):
            self.assertTrue(line.startswith(f"{sources / name}.py: "), line)
            self.assertIn(reason, line)

    def test_progress_is_shown_on_a_terminal(self):
        sources = self.folder / "progress"
        sources.mkdir()
        (sources / "one.py").write_text("1")
        terminal, its_other_end = pty.openpty()
        try:
            self.run_host("--threads", "1", sources, stderr=its_other_end)
            self.assertIn(b"1 of 1 files, 1 thread", os.read(terminal, 4096))
        finally:
            os.close(terminal)
            os.close(its_other_end)

    def test_a_file_name_need_not_be_text(self):
        sources = self.folder / "names"
        sources.mkdir()
        Path(os.fsdecode(bytes(sources) + b"/\xff.py")).write_text("def f(): pass")
        self.assertEqual("1", rows(self.run_host("--threads", "1", sources).stdout)[0]["functions"])

    def test_the_standard_library_is_the_default_without_what_was_installed_into_it(self):
        done = self.run_host("--threads", "2")
        library, files = run(PYTHON, "-c", COUNT_LIBRARY).stdout.splitlines()
        self.assertIn(f"{files} files below {library}\n", done.stdout)
        (row,) = rows(done.stdout)
        self.assertEqual(int(files), int(row["files"]) + int(row["rejected"]))
        self.assertEqual(row["files"], row["dropped"])

    def test_mistakes_are_answered_with_a_sentence_and_status_2(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for words, sentence in (
                ((empty / "none",), "there is no directory"),
                ((empty,), "there is no Python source (*.py) below"),
                (("a", "b"), "one directory, please"),
                (("--threads", "two"), "--threads takes numbers"),
                (("--threads", "1,"), "--threads takes numbers"),
                (("--threads",), "--threads needs a value"),
                (("--treads", "1"), "there is no option --treads"),
                (("--python", empty / "python"), "cannot be run: No such file"),
                (("--python", empty), "is a directory"),
                (("--python", "pythom"), "there is no pythom on PATH"),
                (("--python", "true"), "does not answer as a Python would"),
                (("--python", empty / "libpython3.so"), "there is no file"),
                (("--plugin", empty / "plugin.so"), "the plugin cannot be loaded"),
                (("--plugin", "libc.so.6"), "the plugin cannot be loaded"),
        ):
            with self.subTest(words=words):
                done = self.run_host(*words, expect=2)
                self.assertEqual("", done.stdout)
                self.assertTrue(done.stderr.startswith("host: ") and sentence in done.stderr, done.stderr)

    def test_a_library_that_is_no_python_is_refused(self):
        impostor = self.folder / "libpython3.99.so"
        impostor.symlink_to(self.plugin)
        done = self.run_host("--python", impostor, expect=2)
        self.assertIn("is not a CPython library", done.stderr)

    def test_a_libpython_can_be_named_itself(self):
        executable, library = run(PYTHON, SOURCE / "tests/support/describe_python.py").stdout.splitlines()
        if library == "-":
            self.skipTest(f"{executable} HAS NO SHARED LIBRARY")
        done = self.run_host("--python", library, "--threads", "1", write_sources(self.folder / "direct"))
        self.assertEqual(str(COUNTED["functions"]), rows(done.stdout)[0]["functions"])
