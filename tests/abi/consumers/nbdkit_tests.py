"""What a user of the nbdkit plugin sees."""

import errno
import os
import random
import sys
import threading

from consumers import PYTHON, SOURCE, is_debug_python, libpython, needed, run

sys.path.insert(0, str(SOURCE / "tests/support"))
import nbd  # noqa: E402
from nbd import READ, TRIM, WRITE, ZERO, Disk, Server  # noqa: E402

DISK = SOURCE / "examples/nbdkit/disk.py"
MIB = 1 << 20
HEAD = """
import nbdkit
API_VERSION = 2
def thread_model(): return nbdkit.THREAD_MODEL_PARALLEL
def open(readonly): return None
def get_size(h): return 1 << 20
def pwrite(h, buf, offset, flags): pass
"""


def change(disk, seed):
    """Random requests, and what the disk answered to them and has on it in the end."""
    dice, answers = random.Random(seed), []
    for _ in range(300):
        kind, size = dice.choice((READ, READ, WRITE, WRITE, ZERO, TRIM)), dice.choice((1, 512, 4096, 70000))
        offset = dice.randrange(disk.size - size)
        answers.append(disk.ask(kind, offset, data=dice.randbytes(size)) if kind == WRITE else disk.ask(kind, offset, size))
    return answers + [disk.read(0, disk.size)]


class NbdkitTests:
    nbdkit = None  # the plugin's file; None: it was not built

    def server(self, script, *words, **more):
        """nbdkit with the plugin, the Python under test, and a script or its text."""
        if self.nbdkit is None or nbd.missing():
            self.skipTest(nbd.missing() or "nbdkit-plugin.h is not here (on Debian: apt install nbdkit-plugin-dev)")
        if libpython() == "-":
            self.skipTest(f"{PYTHON} HAS NO SHARED LIBRARY")
        if isinstance(script, str):
            text, script = script, self.folder / f"script-{Server.number}.py"
            script.write_text(text)
        home = run(PYTHON, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
        return Server(self.folder, self.nbdkit, script, f"libpython={libpython()}", *words, PYTHONHOME=home, **more)

    def refused(self, script, *words):
        with self.assertRaises(AssertionError) as refusal:
            self.server(script, *words)
        return str(refusal.exception)

    def test_nbdkit_plugin_links_neither_libpython_nor_python(self):
        self.server(DISK).stop()
        self.assertEqual(["libpyattach.so.0"], [name for name in needed(self.nbdkit) if "py" in name])

    def test_nbdkit_plugin_answers_as_nbdkits_own_memory_does(self):
        with self.server(DISK, "size=1M") as ours, Server(self.folder, "memory", "1M") as memory:
            with Disk(ours) as one, Disk(memory) as other:
                self.assertEqual(change(other, 1), change(one, 1))
            self.assertEqual((0, 0), (ours.stop(), memory.stop()))

    def test_nbdkit_plugin_takes_the_script_of_debians(self):
        if not nbd.has_python_plugin():
            self.skipTest("nbdkit's Python plugin is not here (on Debian: apt install nbdkit-plugin-python)")
        with self.server(DISK, "size=1M") as ours, Server(self.folder, "python", DISK, "size=1M") as debians:
            with Disk(ours) as one, Disk(debians) as other:
                self.assertEqual((other.size, other.flags), (one.size, one.flags))
                self.assertEqual(change(other, 2), change(one, 2))

    def test_nbdkit_plugin_keeps_what_nbdcopy_writes(self):
        source, copy = self.folder / "source", self.folder / "copy"
        source.write_bytes(os.urandom(8 * MIB))
        with self.server(DISK, "size=8M") as ours, Server(self.folder, "memory", "8M") as memory:
            for start, end in ((source, ours.uri()), (ours.uri(), memory.uri()), (memory.uri(), copy)):
                run("nbdcopy", start, end)
        self.assertEqual(source.read_bytes(), copy.read_bytes())

    def test_nbdkit_plugin_serves_several_connections_with_sixteen_requests_each(self):
        failed = []

        def work(number):
            try:
                dice, written = random.Random(number), {}
                with Disk(server) as disk:
                    for _ in range(20):
                        for _ in range(16):
                            place, data = number * MIB + 4096 * dice.randrange(200), dice.randbytes(4096)
                            if place not in written:
                                written[place] = data
                                disk.send(WRITE, place, data=data)
                        while disk.waiting:
                            assert disk.receive()[1] == 0
                        expected = {disk.send(READ, place, 4096): written[place] for place in dice.sample(sorted(written), 16 if len(written) > 16 else 1)}
                        while disk.waiting:
                            cookie, _, data = disk.receive()
                            assert data == expected[cookie]
            except BaseException as error:
                failed.append(error)

        with self.server(DISK, "size=4M") as server:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(([], 0), (failed, server.stop()))

    def test_nbdkit_plugin_keeps_the_thread_states_of_nbdkits_threads(self):
        script = HEAD + """
import threading
here = threading.local()
def pread(h, buf, offset, flags):
    here.calls = getattr(here, "calls", 0) + 1
    buf[0] = here.calls
"""
        with self.server(script, "--threads=1") as server, Disk(server) as disk:
            # On debug builds of Python thread states are not kept (warm_state.h).
            expected = [1, 1, 1, 1] if is_debug_python() else [1, 2, 3, 4]
            self.assertEqual(expected, [disk.read(0, 512)[0] for _ in range(4)])

    def test_nbdkit_plugin_tells_the_client_what_a_script_raises_and_goes_on(self):
        script = HEAD + """
import errno
def pread(h, buf, offset, flags):
    if offset == 0: raise OSError(errno.ENOSPC, "the disk is full")
    if offset == 1: return {}["missing"]
    if offset == 2:
        nbdkit.set_error(errno.EPERM)
        raise OSError(errno.ENOSPC, "not the one that counts")
    if offset == 3: raise SystemExit
    buf[:] = b"x" * len(buf)
def zero(h, count, offset, flags):
    if flags & nbdkit.FLAG_MAY_TRIM: raise OSError(errno.EOPNOTSUPP, "only pwrite")
    nbdkit.set_error(errno.EOPNOTSUPP)
    raise Exception
"""
        with self.server(script) as server, Disk(server) as disk:
            errors = [disk.ask(READ, offset, 8)[0] for offset in range(4)]
            self.assertEqual([errno.ENOSPC, errno.EIO, errno.EPERM, errno.EIO], errors)
            self.assertEqual((0, b"x" * 8), disk.ask(READ, 4, 8))
            self.assertEqual([0, 0], [disk.ask(ZERO, 0, 4096, flags=flags)[0] for flags in (0, 2)])
        for line in ("pread: Traceback (most recent call last):", "OSError: [Errno 28] the disk is full", "KeyError: 'missing'",
                     'return {}["missing"]', ", in pread"):
            self.assertIn(line, server.errors())
        self.assertNotIn("zero: ", server.errors())

    def test_nbdkit_plugin_releases_the_view_when_a_call_ends(self):
        script = HEAD + """
import ctypes
kept = []
def keep(buf): kept.append((buf, buf[:4], memoryview(buf[:4]), (ctypes.c_char * 4).from_buffer_copy(buf)))
def pread(h, buf, offset, flags):
    if offset == 1:  # all that was kept: a view of a call that has ended is refused, and all others are as they were
        for view, part, again, copy in kept:
            try:
                view[0]
            except ValueError:
                buf[0] += part[:] == again[:] == copy[:]
        return
    buf[:] = bytes([offset]) * len(buf)
    keep(buf)
    part = (ctypes.c_char * 4).from_buffer(buf)
    kept.append((buf, part, part, part[:]))
    if offset == 3: raise OSError(5, "with all of that in the traceback")
def pwrite(h, buf, offset, flags): keep(buf)
"""
        with self.server(script, "--threads=1") as server, Disk(server) as disk:
            self.assertEqual(bytes([2]) * 4096, disk.read(2, 4096))
            self.assertEqual(errno.EIO, disk.ask(READ, 3, 4096)[0])
            for number in range(4, 100):  # whose memory is that of the ones before
                disk.write(number, bytes([number]) * 4096)
            self.assertEqual(100, disk.read(1, 16)[0])
        self.assertEqual(1, server.errors().count("Traceback"))

    def test_nbdkit_plugin_lets_a_script_only_read_what_is_written(self):
        script = HEAD + "def pwrite(h, buf, offset, flags): buf[0] = 1\ndef pread(h, buf, offset, flags): pass\n"
        with self.server(script) as server, Disk(server) as disk:
            self.assertEqual(errno.EIO, disk.ask(WRITE, 0, data=b"abc")[0])
        self.assertIn("TypeError: cannot modify read-only memory", server.errors())

    def test_nbdkit_plugin_ends_clean_with_requests_in_flight(self):
        script = DISK.read_text() + "\ndef cleanup(): print('cleanup', file=sys.stderr)\n" \
            "import atexit, sys; atexit.register(print, 'atexit', file=sys.stderr)\n"
        for foreground in (True, False, True):
            with self.server(script, "size=1M", foreground=foreground) as server:
                self.assertEqual(0, nbd.stop_under_load(server), server.said())
            if foreground:
                self.assertEqual("cleanup\natexit\n", server.said())
            else:
                self.assertNotIn("error", server.errors())

    def test_nbdkit_plugin_may_begin_threads_of_python_after_the_fork(self):
        script = HEAD + """
import os, queue, threading
asked, answers, before = queue.Queue(), queue.Queue(), os.getpid()
def work():
    while True: answers.put(bytes([asked.get()]))
def after_fork():
    assert os.getpid() != before, "no daemon"
    threading.Thread(target=work, daemon=True).start()
def pread(h, buf, offset, flags):
    asked.put(offset)
    buf[:1] = answers.get()
"""
        with self.server(script) as server:
            with Disk(server) as disk:
                self.assertEqual([bytes([n]) for n in range(9)], [disk.read(n, 1) for n in range(9)])
            self.assertEqual(0, server.stop(), server.said())

    def test_nbdkit_plugin_says_before_it_serves_what_is_wrong(self):
        for script, words, sentence in (
                ("syntax error\n", (), "SyntaxError: invalid syntax"),
                ("API_VERSION = 2\n", (), "the script has no function open, which nbdkit needs"),
                (HEAD.replace("API_VERSION", "VERSION"), (), "the script has to say API_VERSION = 2"),
                (HEAD + "def pread(*_): pass\n", ("size=1M",), "has no function config, so it takes no size=1M"),
                (HEAD + "def pread(*_): pass\ndef config(key, value): raise ValueError(key)\n", ("size=1M",), "ValueError: size"),
                (self.folder / "missing.py", (), "FileNotFoundError"),
                (DISK, ("size=large",), "ValueError: 'large' is no size"),
        ):
            with self.subTest(sentence):
                self.assertIn(sentence, self.refused(script, *words))
